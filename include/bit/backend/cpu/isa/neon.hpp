// SPDX-License-Identifier: Apache-2.0
// NEON, which every aarch64 CPU has: vectors of 4 floats. The 5x16 tile needs 20 sums, 4 weight vectors and 5 scalars
// of 32 registers. gcc 12 and clang 14 compile its inner loop to 20 fmla by lane and 7 loads; 6x16 spills with gcc,
// 7x16 with both.
#pragma once

#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__aarch64__)
BIT_BASELINE_BEGIN
namespace bit::inline BIT_ABI::detail::neon {

inline constexpr int vector_bytes = 16;
inline constexpr int tile_rows = 5;
inline constexpr int tile_columns = 16;
inline constexpr double flops_per_second =
    40e9;  // the float tile; not measured: two multiply-adds per cycle at 2.5 GHz

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_emulated.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline BIT_ABI::detail::neon
BIT_BASELINE_END
#endif
