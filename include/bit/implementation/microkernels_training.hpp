// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: the microkernels of the backward pass, of every instruction set.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/isa/backward_dispatch.ipp>

namespace bit::inline BIT_ABI::detail {

template const backward_map_microkernel_table<float>& backward_map_microkernels_of<float>(instruction_set);
template const backward_map_microkernel_table<bfloat16>& backward_map_microkernels_of<bfloat16>(instruction_set);
template const backward_pair_microkernel_table* backward_pair_microkernels_of<bfloat16>(instruction_set);

}  // namespace bit::inline BIT_ABI::detail
