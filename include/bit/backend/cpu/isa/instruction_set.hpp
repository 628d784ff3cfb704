// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::detail {

/// The instruction sets that the microkernels are compiled for, under the names that BIT_ISA takes.
enum class instruction_set { scalar, avx2, avx512, avx512_bf16, avx512_bf16_float, neon };

}  // namespace bit::inline BIT_ABI::detail
