// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: the microkernels for bfloat16 of every instruction set.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/isa/microkernels_of.ipp>

namespace bit::inline BIT_ABI::detail {

template const microkernel_table<bfloat16>& microkernels_of<bfloat16>(instruction_set);

}  // namespace bit::inline BIT_ABI::detail
