// AVX-512-BF16: the kernels for bfloat16 of avx512.hpp with the instruction for their products; the same tile, twice
// the rate. AVX-512BW and VL are what every such CPU also has.
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <utility>

#if defined(__x86_64__)
BIT_TARGET_BEGIN("avx512bf16,avx512bw,avx512vl,avx512dq,avx512f,avx2,fma")
namespace bit::inline v0::detail::avx512_bf16 {

inline constexpr int vector_bytes = 64;
inline constexpr int tile_rows = 14;
inline constexpr int tile_columns = 32;
inline constexpr double flops_per_second = 250e9;  // of the float tile, one Zen 5 core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_native.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline v0::detail::avx512_bf16
BIT_TARGET_END
#endif
