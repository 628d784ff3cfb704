// AVX2 and FMA: vectors of 8 floats. 6x16 tile: 12 sums, 2 weight vectors and 1 broadcast in 16
// registers; 128-131 GFLOP/s of a 131 peak, larger tiles spill (14x16: 73-103).
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <utility>

#if defined(__x86_64__)
BIT_TARGET_BEGIN("avx2,fma")
namespace bit::inline v0::detail::avx2 {

inline constexpr int vector_bytes = 32;
inline constexpr int tile_rows = 6;
inline constexpr int tile_columns = 16;
inline constexpr double flops_per_second = 128e9;  // of the float tile, one Zen 5 core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_emulated.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline v0::detail::avx2
BIT_TARGET_END
#endif
