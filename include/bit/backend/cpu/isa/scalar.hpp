// SPDX-License-Identifier: Apache-2.0
// The baseline of the translation unit (SSE2 on x86-64): vectors of 4 floats, which any compiler can also split up. The
// 2x16 tile needs 8 sums, 4 weight vectors and 1 broadcast of 16 registers and reaches 46 GFLOP/s (one Zen 5 core). A
// 3x16 tile is as fast without the totals of partial sums, but spills with them (32 GFLOP/s).
#pragma once

#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <type_traits>
#include <utility>

BIT_BASELINE_BEGIN
namespace bit::inline BIT_ABI::detail::scalar {

inline constexpr int vector_bytes = 16;
inline constexpr int tile_rows = 2;
inline constexpr int tile_columns = 16;
inline constexpr double flops_per_second = 46e9;  // the float tile on one Zen 5 core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_emulated.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline BIT_ABI::detail::scalar
BIT_BASELINE_END
