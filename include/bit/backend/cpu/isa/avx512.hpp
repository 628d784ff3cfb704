// SPDX-License-Identifier: Apache-2.0
// AVX-512F: vectors of 16 floats. The 14x32 tile needs 28 sums, 2 weight vectors and 1 broadcast of 32 registers. Tiles
// from 12x32 to 6x64 are equally fast; 14 divides the widths 56, 28 and 14 of ResNet's maps.
#pragma once

#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/isa/table.hpp>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
BIT_TARGET_BEGIN("avx512f,avx2,fma")
namespace bit::inline BIT_ABI::detail::avx512 {

inline constexpr int vector_bytes = 64;
inline constexpr int tile_rows = 14;
inline constexpr int tile_columns = 32;
inline constexpr double flops_per_second = 250e9;  // the float tile on one Zen 5 core

#include <bit/backend/cpu/isa/vector.inl>

#include <bit/backend/cpu/isa/bfloat16_emulated.inl>

#include <bit/backend/cpu/isa/microkernels.inl>

}  // namespace bit::inline BIT_ABI::detail::avx512
BIT_TARGET_END

namespace bit::inline BIT_ABI::detail {

/// The tables of an instruction set that adds nothing but bfloat16 to AVX-512: `Own` for formats with bfloat16,
/// AVX-512's for all others, which would be compiled a second time to no gain.
template <class Own>
struct avx512_with_bfloat16 {
  template <class Number>
  using of = std::conditional_t<std::is_same_v<Number, bfloat16>, Own, avx512::tables>;

  template <class F>
  static const microkernel_table<F>& forward() {
    return of<weight_of<F>>::template forward<F>();
  }
  static const backward_microkernel_table& backward() { return avx512::tables::backward(); }
  template <class Map>
  static const backward_map_microkernel_table<Map>& backward_map() {
    return of<Map>::template backward_map<Map>();
  }
};

}  // namespace bit::inline BIT_ABI::detail
#endif
