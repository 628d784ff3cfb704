// SPDX-License-Identifier: Apache-2.0
// AVX2 and FMA: vectors of 8 floats. The 6x16 tile needs 12 sums, 2 weight vectors and 1 broadcast of 16 registers and
// reaches 128 to 131 of the peak's 131 GFLOP/s (one Zen 5 core). Larger tiles spill (14x16: 73 to 103 GFLOP/s).
#pragma once

#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
BIT_TARGET_BEGIN("avx2,fma")
namespace bit::inline BIT_ABI::detail::avx2 {

inline constexpr int vector_bytes = 32;
inline constexpr int tile_rows = 6;
inline constexpr int tile_columns = 16;
inline constexpr double flops_per_second = 128e9;  // the float tile on one Zen 5 core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_emulated.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline BIT_ABI::detail::avx2
BIT_TARGET_END
#endif
