// SPDX-License-Identifier: Apache-2.0
// Weight standardisation and packing. table.hpp says what each function computes. No include guard: see
// microkernels.inl.

/// Loads `columns` floats from any address and fills the row with zeros up to tile_columns.
__attribute__((always_inline)) inline void load_row(float* row, const std::byte* x, std::size_t columns) {
  if (columns == static_cast<std::size_t>(tile_columns)) {
    __builtin_memcpy(row, x, sizeof(float) * static_cast<std::size_t>(tile_columns));
  } else {
    for (int c = 0; c < tile_columns; ++c) row[c] = 0.0f;
    __builtin_memcpy(row, x, sizeof(float) * columns);
  }
}

inline void column_sums(double* sums, double* squares, const double* mean, const std::byte* x, std::size_t stride,
                        std::size_t rows, std::size_t columns) {
  alignas(64) float row[tile_columns];
  dvec total[tile_vectors] = {}, total2[tile_vectors] = {};
  for (std::size_t k = 0; k < rows; ++k) {
    load_row(row, x + k * stride, columns);
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) {
      dvec m;
      load(m, mean + v * lanes);
      const dvec d = __builtin_convertvector(load(row + v * lanes), dvec) - m;
      total[v] += d;
      total2[v] += d * d;
    }
  }
  for (int v = 0; v < tile_vectors; ++v) {
    add_to(sums + v * lanes, total[v]);
    add_to(squares + v * lanes, total2[v]);
  }
}

/// Vector v of a row, standardised: (row - mean)·scale in double, rounded to float.
__attribute__((always_inline)) inline vec scaled(const float* row, int v, const double* mean, const double* scale) {
  dvec m, s;
  load(m, mean + v * lanes);
  load(s, scale + v * lanes);
  return __builtin_convertvector((__builtin_convertvector(load(row + v * lanes), dvec) - m) * s, vec);
}

inline void scale_columns(float* y, const std::byte* x, std::size_t stride, std::size_t rows, std::size_t columns,
                          const double* mean, const double* scale) {
  alignas(64) float row[tile_columns];
  for (std::size_t k = 0; k < rows; ++k, y += tile_columns) {
    load_row(row, x + k * stride, columns);
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) store(y + v * lanes, scaled(row, v, mean, scale));
  }
}

inline void scale_columns(bfloat16* y, const std::byte* x, std::size_t stride, std::size_t rows, std::size_t columns,
                          const double* mean, const double* scale) {
  alignas(64) float row[2][tile_columns];
  for (std::size_t k = 0; k < rows; k += 2, y += 2 * tile_columns) {
    load_row(row[0], x + k * stride, columns);
    const bool pair = k + 1 < rows;
    if (pair) load_row(row[1], x + (k + 1) * stride, columns);
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) {
      const words low = __builtin_convertvector(to_bfloat16(scaled(row[0], v, mean, scale)), words);
      const words high =
          pair ? __builtin_convertvector(to_bfloat16(scaled(row[1], v, mean, scale)), words) << 16 : words{};
      store_words(y + 2 * v * lanes, low | high);
    }
  }
}
