// AVX-512F: vectors of 16 floats. 14x32 tile: 28 sums, 2 weight vectors and 1 broadcast in 32 registers;
// rates of 12x32 to 6x64 are equal, 14 divides 56, 28 and 14.
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <utility>

#if defined(__x86_64__)
BIT_TARGET_BEGIN("avx512f,avx2,fma")
namespace bit::inline v0::detail::avx512 {

inline constexpr int vector_bytes = 64;
inline constexpr int tile_rows = 14;
inline constexpr int tile_columns = 32;
inline constexpr double flops_per_second = 250e9;  // of the float tile, one Zen 5 core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_emulated.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline v0::detail::avx512
BIT_TARGET_END
#endif
