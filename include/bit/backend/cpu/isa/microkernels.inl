// Leaf kernels, written once over compiler vector types and compiled once per instruction set. No include guard: each
// isa/<name>.hpp includes this inside its own namespace and target region, after defining the constants vector_bytes,
// tile_rows, tile_columns and flops_per_second, and between vector.inl and this a file that says how bfloat16 is rounded and multiplied.
// Plain vector types are as fast as intrinsics here: 248, 253 and 247 GFLOP/s of one core with g++ 12, clang 14 and
// clang 19 against 249, 252 and 250 (14x32 tile, k = 256, Zen 5).
#include <bit/backend/cpu/isa/map.inl>
#include <bit/backend/cpu/isa/peak.inl>
#include <bit/backend/cpu/isa/standardise.inl>
#include <bit/backend/cpu/isa/stem.inl>
#include <bit/backend/cpu/isa/tile.inl>
#include <bit/backend/cpu/isa/winograd.inl>

template <class T, int... m>
inline constexpr microkernel_table<T> make_table(std::integer_sequence<int, m...>) {
  return {tile_rows,
          tile_columns,
          sizeof(typename product<T>::packed),
          {tile<T, T, m + 1>...},
          {tile<T, float, m + 1>...},
          {stem_tile<m + 1>...},
          normalise<T, T>,
          normalise<float, T>,
          widen<T>,
          normalised_sum<T>,
          max_pool_row<T>,
          accumulate_statistics<T>,
          narrow<T>,
          column_sums,
          scale_columns,
          scale_columns,
          make_winograd<T, 2>(),
          make_winograd<T, 4>(),
          flops_per_second * product<T>::relative_rate,
          fma_loop<T>,
          fma_loop_flops<T>,
          read_loop};
}
template <class T>
inline constexpr microkernel_table<T> table = make_table<T>(std::make_integer_sequence<int, tile_rows>{});
