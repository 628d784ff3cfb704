// SPDX-License-Identifier: Apache-2.0
// The microkernels, written once over the compilers' vector types and compiled once per instruction set. No include
// guard: each isa/<name>.hpp includes this inside its own namespace and target region, after defining the constants
// vector_bytes, tile_rows, tile_columns and flops_per_second, and between vector.inl and this a file that says how
// bfloat16 is rounded and multiplied. Plain vector types are as fast as intrinsics here: 248, 253 and 247 GFLOP/s of
// one core with g++ 12, clang 14 and clang 19 against 249, 252 and 250 (14x32 tile, k = 256, Zen 5).
#include <bit/backend/cpu/isa/backward.inl>
#include <bit/backend/cpu/isa/map.inl>
#include <bit/backend/cpu/isa/peak.inl>
#include <bit/backend/cpu/isa/standardise.inl>
#include <bit/backend/cpu/isa/stem.inl>
#include <bit/backend/cpu/isa/tile.inl>
#include <bit/backend/cpu/isa/winograd.inl>

template <class F, int... m>
inline constexpr microkernel_table<F> make_table(std::integer_sequence<int, m...>) {
  using map = feature_map_of<F>;
  using weight = weight_of<F>;
  return {tile_rows,
          tile_columns,
          sizeof(packed_of<F>),
          {tile<F, map, m + 1>...},
          {tile<F, accumulator_of<F>, m + 1>...},
          {stem_tile<m + 1>...},
          normalise<map, map>,
          pack_normalised<F>,
          pack<F>,
          pack_floats<F>,
          normalise<float, map>,
          widen<map>,
          normalised_sum<map>,
          max_pool_row<map>,
          accumulate_statistics<map>,
          narrow<map>,
          column_sums,
          scale_columns,
          scale_columns,
          make_winograd<F, 2>(),
          make_winograd<F, 4>(),
          flops_per_second * product<weight>::relative_rate,
          fma_loop<weight>,
          fma_loop_flops<weight>,
          read_loop};
}
template <class F>
inline constexpr microkernel_table<F> table = make_table<F>(std::make_integer_sequence<int, tile_rows>{});

/// This instruction set's tables: what isa/microkernels_of.ipp and backward_dispatch.ipp choose from. A function is
/// compiled only where a table that holds it is used.
struct tables {
  template <class F>
  static const microkernel_table<F>& forward() {
    return table<F>;
  }
  static const backward_microkernel_table& backward() { return backward_table<>; }
  template <class Map>
  static const backward_map_microkernel_table<Map>& backward_map() {
    return backward_map_table<Map>;
  }
};
