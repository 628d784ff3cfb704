// SPDX-License-Identifier: Apache-2.0
// Which instruction sets' microkernels this build holds: what BIT_ISAS lists, or all of the architecture. For the
// bodies only: a unit that uses a compiled library does not know how that was built.
#pragma once

#include <bit/backend/cpu/isa/instruction_set.hpp>
#include <cstddef>
#include <string_view>

namespace bit::inline BIT_ABI::detail {

/// The names of the instruction sets, in the order of the enumeration.
inline constexpr std::string_view instruction_set_names[] = {
    "scalar", "avx2", "avx512", "avx512_bf16", "avx512_bf16_float", "neon"};

/// True if the list of names `list`, separated by commas, is empty or has `name` in it.
constexpr bool is_listed(std::string_view list, std::string_view name) {
  if (list.empty()) return true;
  while (true) {
    const std::size_t end = list.find(',');
    if (list.substr(0, end) == name) return true;
    if (end == std::string_view::npos) return false;
    list.remove_prefix(end + 1);
  }
}

/// True if every name of the list `list` is one of an instruction set.
constexpr bool is_known_list(std::string_view list) {
  for (bool more = !list.empty(); more;) {
    const std::size_t end = list.find(',');
    bool known = false;
    for (const std::string_view name : instruction_set_names) known = known || name == list.substr(0, end);
    if (!known) return false;
    more = end != std::string_view::npos;
    list.remove_prefix(more ? end + 1 : list.size());
  }
  return true;
}
static_assert(
    is_known_list(BIT_ISAS),
    "BIT_ISAS: expected names out of scalar, avx2, avx512, avx512_bf16, avx512_bf16_float, neon, separated by "
    "commas without spaces");

/// True if this build holds the microkernels of that instruction set.
constexpr bool is_compiled(instruction_set isa) {
  return is_listed(BIT_ISAS, instruction_set_names[static_cast<std::size_t>(isa)]);
}

}  // namespace bit::inline BIT_ABI::detail
