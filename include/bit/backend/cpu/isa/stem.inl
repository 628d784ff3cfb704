// SPDX-License-Identifier: Apache-2.0
// The register tile of the first convolution. No include guard: see microkernels.inl.

/// Computes y[0..rows) of a 7x7 convolution of stride 2 over an image with few channels. The window's rows are read
/// where they lie; the windows of neighbouring outputs are `pixel` floats apart. `step` is this number where the
/// compiler knows it (6 for 3 channels), so that every address is a constant displacement; with step 0 it is read from
/// the window. Each row of the window has a sum of its own. One sum over all 147 products puts an error of 5.0e-7 into
/// the normalised map, seven sums of 21 products one of 2.0e-7. All later layers amplify what the first map loses: on
/// R50x1 with random weights, half of the last map's error came from here, and gradients jumped where ReLUs nearly
/// close.
template <int rows, int step>
inline void stem_tile_of(float* y, std::size_t y_stride, std::size_t blocks, const stem_window& window) {
  const std::size_t pixel = step > 0 ? static_cast<std::size_t>(step) : window.pixel;
  vec sum[rows][tile_vectors];
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) sum[m][v] = vec{};
  alignas(64) vec total[rows][tile_vectors];
  asm("" : : "r"(&total) : "memory");  // as in tile(): the totals stay in memory, the sums in registers
  const float* b = window.weights;
  for (std::size_t r = 0; r < window.rows; ++r) {
    const float* a = window.image + r * window.row;
    if (r > 0) {
#pragma GCC unroll 16
      for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; ++v) {
          total[m][v] = r > 1 ? total[m][v] + sum[m][v] : sum[m][v];
          sum[m][v] = vec{};
        }
    }
    for (std::size_t k = 0; k < window.row_values; ++k) {
      asm("" : "+r"(a));  // as in tile(): broadcasts carried over iterations spill
      vec weights[tile_vectors];
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; ++v) weights[v] = load(b + v * lanes);
#pragma GCC unroll 16
      for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; ++v) sum[m][v] += a[static_cast<std::size_t>(m) * pixel] * weights[v];
      ++a;
      b += tile_columns;
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < tile_vectors; ++v) {
    const std::size_t channel_block = static_cast<std::size_t>(v / block_vectors);
    if (channel_block >= blocks) break;
    float* to = y + channel_block * y_stride + static_cast<std::size_t>(v % block_vectors * lanes);
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m) store(to + m * 16, window.rows > 1 ? total[m][v] + sum[m][v] : sum[m][v]);
  }
}

template <int rows>
inline void stem_tile(float* y, std::size_t y_stride, std::size_t blocks, const stem_window& window) {
  if (window.pixel == 6)
    stem_tile_of<rows, 6>(y, y_stride, blocks, window);
  else
    stem_tile_of<rows, 0>(y, y_stride, blocks, window);
}
