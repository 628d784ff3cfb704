// SPDX-License-Identifier: Apache-2.0
// The loops behind measure_peak: one multiplies and adds in registers, one reads memory. No include guard: see
// microkernels.inl.

/// The operations of one iteration of fma_loop, which is one step of the register tile.
template <class T>
inline constexpr std::size_t fma_loop_flops = 2 * tile_rows* tile_columns* product<T>::numbers_per_step;

/// The register tile without anything around it: it keeps the same sums, and its operands stay in L1. Each iteration
/// adds 1·1 (for bfloat16 twice) to every lane of every sum. Returns the total of the sums' first lanes.
template <class T>
inline float fma_loop(std::size_t iterations) {
  constexpr int step = product<T>::numbers_per_step;
  using packed = typename product<T>::packed;
  alignas(64) T weight_ones[step * tile_columns];
  alignas(64) packed pixel_ones[step * tile_rows];
  for (T& one : weight_ones) one = T(1.0f);
  for (packed& one : pixel_ones) one = packed(1.0f);
  const T* b = weight_ones;
  const packed* a = pixel_ones;
  vec sum[tile_rows][tile_vectors];
#pragma GCC unroll 16
  for (int m = 0; m < tile_rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) sum[m][v] = vec{};
  for (; iterations > 0; --iterations) {
    // Hides the operands from the compiler, which would otherwise compute equal sums, and unchanging products, only
    // once.
    asm("" : "+r"(a), "+r"(b));
#pragma GCC unroll 2
    for (int part = 0; part < product<T>::parts; ++part) {
      typename product<T>::weights weights[tile_vectors];
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; ++v) weights[v] = product<T>::load_weights(b + v * lanes * step, part);
#pragma GCC unroll 16
      for (int m = 0; m < tile_rows; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; ++v) product<T>::add(sum[m][v], a + m * step + part, weights[v]);
    }
  }
  vec total = {};
#pragma GCC unroll 16
  for (int m = 0; m < tile_rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) total += sum[m][v];
  return total[0];
}

inline float read_loop(const float* x, std::size_t count) {
  vec sum[8] = {};
  for (std::size_t i = 0; i < count; i += 8 * static_cast<std::size_t>(lanes))
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) sum[v] += load(x + i + static_cast<std::size_t>(v * lanes));
  vec total = sum[0];
  for (int v = 1; v < 8; ++v) total += sum[v];
  float result = 0;
  for (int i = 0; i < lanes; ++i) result += total[i];
  return result;
}
