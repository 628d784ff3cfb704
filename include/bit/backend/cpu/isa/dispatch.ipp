// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/isa/dispatch.hpp.
#pragma once

#include <bit/backend/cpu/isa/compiled.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/error.hpp>
#include <cstdlib>

namespace bit::inline BIT_ABI {
namespace detail {

/// The instruction sets that the CPU can run and this build holds microkernels for, the best last.
inline std::vector<instruction_set> available_instruction_sets() {
  std::vector<instruction_set> found{instruction_set::scalar};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back(instruction_set::avx2);
    if (__builtin_cpu_supports("avx512f")) {
      found.push_back(instruction_set::avx512);
      if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        // By maker, not by a measurement: Emerald Rapids reaches 178 GFLOP/s with bfloat16's instruction, 373 with
        // float's.
        const bool slow_products = __builtin_cpu_is("intel");
        found.push_back(slow_products ? instruction_set::avx512_bf16 : instruction_set::avx512_bf16_float);
        found.push_back(slow_products ? instruction_set::avx512_bf16_float : instruction_set::avx512_bf16);
      }
    }
  }
#elif defined(__aarch64__)
  found.push_back(instruction_set::neon);  // part of the architecture: nothing to ask
#endif
  std::erase_if(found, [](instruction_set isa) { return !is_compiled(isa); });
  if (found.empty())
    throw config_error("[isa] this build holds microkernels for " BIT_ISAS
                       " only (BIT_ISAS), and the CPU has none of these; add scalar to the list");
  return found;
}

BIT_FUNC const char* name_of(instruction_set isa) {
  return instruction_set_names[static_cast<std::size_t>(isa)].data();
}

BIT_FUNC instruction_set instruction_set_of(const std::string& name) {
  std::string names;
  for (instruction_set isa : available_instruction_sets()) {
    if (name_of(isa) == name) return isa;
    names += names.empty() ? name_of(isa) : std::string(", ") + name_of(isa);
  }
  throw config_error("[isa] expected one of " + names + " (what this CPU can run and this build holds), got \"" + name +
                     "\"; unset BIT_ISA to let the library choose");
}

BIT_FUNC instruction_set default_instruction_set() {
#if defined(BIT_STATIC_ISA)
  return instruction_set_of(BIT_STATIC_ISA);
#else
  const char* pinned = std::getenv("BIT_ISA");
  return pinned && *pinned ? instruction_set_of(pinned) : available_instruction_sets().back();
#endif
}

}  // namespace detail

BIT_FUNC std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (detail::instruction_set isa : detail::available_instruction_sets()) names.emplace_back(detail::name_of(isa));
  return names;
}

}  // namespace bit::inline BIT_ABI
