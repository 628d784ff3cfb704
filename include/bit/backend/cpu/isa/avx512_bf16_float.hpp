// SPDX-License-Identifier: Apache-2.0
// AVX-512 with the rounding of AVX-512-BF16 and float's multiply-adds, for CPUs whose vdpbf16ps is no faster than
// those: two cores of Emerald Rapids reach 178 GFLOP/s with vdpbf16ps and 373 with float multiply-adds (Zen 5: 1000 and
// 500).
#pragma once

#include <bit/backend/cpu/isa/avx512.hpp>
#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
BIT_TARGET_BEGIN("avx512bf16,avx512bw,avx512vl,avx512dq,avx512f,avx2,fma")
namespace bit::inline BIT_ABI::detail::avx512_bf16_float {

inline constexpr int vector_bytes = 64;
inline constexpr int tile_rows = 14;
inline constexpr int tile_columns = 32;
inline constexpr double flops_per_second = 180e9;  // the float tile on one Emerald Rapids core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_rounded.inl>

#include <bit/backend/cpu/isa/bfloat16_widened.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline BIT_ABI::detail::avx512_bf16_float
BIT_TARGET_END
#endif
