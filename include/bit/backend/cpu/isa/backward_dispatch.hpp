// SPDX-License-Identifier: Apache-2.0
// Chooses the microkernels of the backward pass by instruction set.
#pragma once

#include <bit/backend/cpu/isa/backward_pairs_table.hpp>
#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>

namespace bit::inline BIT_ABI::detail {

/// The backward microkernels of an instruction set; their outer products are as wide as the tiles of
/// microkernels_of<float>(isa).
BIT_FUNC const backward_microkernel_table& backward_microkernels_of(instruction_set isa);

/// The backward microkernels for feature maps of type Map. There is one function per type, as for microkernels_of.
template <class Map>
const backward_map_microkernel_table<Map>& backward_map_microkernels_of(instruction_set isa);

/// The backward microkernels for pairs of numbers of type T, which is bfloat16; they are as wide as the tiles of
/// microkernels_of<T>(isa). Null for instruction sets that multiply bfloat16 as floats.
template <class T>
const backward_pair_microkernel_table* backward_pair_microkernels_of(instruction_set isa);

#if !BIT_HEADER_ONLY
extern template const backward_map_microkernel_table<float>& backward_map_microkernels_of<float>(instruction_set);
extern template const backward_map_microkernel_table<bfloat16>& backward_map_microkernels_of<bfloat16>(instruction_set);
extern template const backward_pair_microkernel_table* backward_pair_microkernels_of<bfloat16>(instruction_set);
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/isa/backward_dispatch.ipp>
#endif
