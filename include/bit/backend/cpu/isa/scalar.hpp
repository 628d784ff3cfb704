// The baseline of the translation unit (SSE2 on x86-64, NEON on aarch64): vectors of 4 floats.
// 3x16 tile: 12 sums, 1 broadcast and 1 weight vector in 16 registers.
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <utility>

namespace bit::inline v0::detail::scalar {

inline constexpr int vector_bytes = 16;
inline constexpr int tile_rows = 3;
inline constexpr int tile_columns = 16;
#include <bit/backend/cpu/isa/kernels.inl>

}  // namespace bit::inline v0::detail::scalar
