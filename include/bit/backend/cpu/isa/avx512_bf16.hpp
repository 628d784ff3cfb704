// SPDX-License-Identifier: Apache-2.0
// AVX-512-BF16: the bfloat16 microkernels with vdpbf16ps for their products, in the tile of avx512.hpp at twice its
// rate. AVX-512BW, VL and DQ are named because every CPU with AVX-512-BF16 has them.
#pragma once

#include <bit/backend/cpu/isa/avx512.hpp>
#include <bit/backend/cpu/isa/backward_pairs_table.hpp>
#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
BIT_TARGET_BEGIN("avx512bf16,avx512bw,avx512vl,avx512dq,avx512f,avx2,fma")
namespace bit::inline BIT_ABI::detail::avx512_bf16 {

inline constexpr int vector_bytes = 64;
inline constexpr int tile_rows = 14;
inline constexpr int tile_columns = 32;
inline constexpr double flops_per_second = 250e9;  // the float tile on one Zen 5 core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_native.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

#include <bit/backend/cpu/isa/backward_pairs.inl>

}  // namespace bit::inline BIT_ABI::detail::avx512_bf16
BIT_TARGET_END
#endif
