// The baseline of the translation unit (SSE2 on x86-64): vectors of 4 floats, which any compiler can also split up.
// 2x16 tile: 8 sums, 4 weight vectors and 1 broadcast in 16 registers;
// 46 GFLOP/s, the same as 3x16 without the second level of sums, which then spills (32).
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <utility>

namespace bit::inline v0::detail::scalar {

inline constexpr int vector_bytes = 16;
inline constexpr int tile_rows = 2;
inline constexpr int tile_columns = 16;
inline constexpr double flops_per_second = 46e9;  // of the float tile, one Zen 5 core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_emulated.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline v0::detail::scalar
