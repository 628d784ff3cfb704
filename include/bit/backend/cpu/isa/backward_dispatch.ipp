// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/isa/backward_dispatch.hpp: the only place that instantiates the backward microkernels.
#pragma once

#include <bit/backend/cpu/isa/backward_dispatch.hpp>
#include <bit/backend/cpu/isa/tables_of.hpp>

namespace bit::inline BIT_ABI::detail {

BIT_FUNC const backward_microkernel_table& backward_microkernels_of(instruction_set isa) {
  return with_tables_of(isa,
                        []<class Tables>(Tables) -> const backward_microkernel_table& { return Tables::backward(); });
}

template <class Map>
const backward_map_microkernel_table<Map>& backward_map_microkernels_of(instruction_set isa) {
  return with_tables_of(isa, []<class Tables>(Tables) -> const backward_map_microkernel_table<Map>& {
    return Tables::template backward_map<Map>();
  });
}

template <class T>
const backward_pair_microkernel_table* backward_pair_microkernels_of([[maybe_unused]] instruction_set isa) {
#if defined(__x86_64__)
  if constexpr (is_compiled(instruction_set::avx512_bf16))
    if (isa == instruction_set::avx512_bf16) return &avx512_bf16::backward_pair_table<T>;
#endif
  return nullptr;
}

}  // namespace bit::inline BIT_ABI::detail
