// SPDX-License-Identifier: Apache-2.0
// The microkernels of the backward pass. backward_table.hpp says what each computes. No include guard: see
// microkernels.inl.

/// How many rows of an outer product stay in registers, a divisor of 16. There must be enough sums to cover the latency
/// of the multiply-adds: 8x32 with AVX-512 reaches 263 GFLOP/s on one core; 4x16 with AVX2 has eight sums and needs
/// all.
inline constexpr int outer_rows = lanes == 16 ? 8 : 4;

inline void outer(const outer_product& p) {
  vec sum[outer_rows][tile_vectors];
#pragma GCC unroll 8
  for (int m = 0; m < outer_rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) sum[m][v] = vec{};
  for (std::size_t n = 0; n < p.images; ++n)
    for (std::size_t r = 0; r < p.rows; ++r) {
      const float* a = p.a + n * p.a_image + r * p.a_row;
      const float* b = p.b + n * p.b_image + r * p.b_row;
      for (std::size_t c = 0; c < p.columns; ++c) {
        asm("" : "+r"(a));  // as in tile(): broadcasts carried over iterations spill
        vec right[tile_vectors];
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; ++v)
          right[v] = load(b + static_cast<std::size_t>(v / block_vectors) * p.b_block + v % block_vectors * lanes);
#pragma GCC unroll 8
        for (int m = 0; m < outer_rows; ++m)
#pragma GCC unroll 4
          for (int v = 0; v < tile_vectors; ++v) sum[m][v] += a[m] * right[v];
        a += p.a_pixel;
        b += 16;
      }
    }
#pragma GCC unroll 8
  for (int m = 0; m < outer_rows; ++m) {
    if (static_cast<std::size_t>(m) >= p.count) break;
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) {
      float* to = p.sum + m * tile_columns + v * lanes;
      store(to, p.add ? load(to) + sum[m][v] : sum[m][v]);
    }
  }
}

template <class T>
inline void norm_sums(double* sums, const T* dy, const T* x, std::size_t pixels, const norm_block& norm) {
  for (int part = 0; part < block_vectors; ++part) {
    const int at = part * lanes;
    const vec scale = load(norm.scale + at), shift = load(norm.shift + at);
    const vec rstd = load(norm.rstd + at), offset = load(norm.offset + at);
    dvec total = {}, total_x = {};
    for (std::size_t p = 0; p < pixels; p += 16) {  // sums of 16 in float, their totals in double
      const std::size_t end = p + 16 < pixels ? p + 16 : pixels;
      vec few = {}, few_x = {};
      for (std::size_t i = p; i < end; ++i) {
        const vec value = load(x + i * 16 + at);
        const vec gradient = load(dy + i * 16 + at), zero = {};
        const vec m = scale * value + shift > 0.0f ? gradient : zero;
        few += m;
        few_x += m * (rstd * value + offset);
      }
      total += __builtin_convertvector(few, dvec);
      total_x += __builtin_convertvector(few_x, dvec);
    }
    add_to(sums + at, total);
    add_to(sums + 16 + at, total_x);
  }
}

template <bool passing, class T>
__attribute__((always_inline)) inline void norm_apply_to(T* dx, const T* dy, const T* x, const T* passed,
                                                         std::size_t pixels, const norm_block& norm, const float* a,
                                                         const float* b) {
  for (int part = 0; part < block_vectors; ++part) {
    const int at = part * lanes;
    const vec scale = load(norm.scale + at), shift = load(norm.shift + at), slope = load(a + at), rest = load(b + at);
    for (std::size_t p = 0; p < pixels; ++p) {
      const vec value = load(x + p * 16 + at);
      const vec gradient = load(dy + p * 16 + at), zero = {};
      const vec m = scale * value + shift > 0.0f ? gradient : zero;
      vec sum = scale * m + (slope * value + rest);
      if (passing) sum += load(passed + p * 16 + at);
      store(dx + p * 16 + at, sum);
    }
  }
}

template <class T>
inline void norm_apply(T* dx, const T* dy, const T* x, const T* passed, std::size_t pixels, const norm_block& norm,
                       const float* a, const float* b) {
  if (passed)
    norm_apply_to<true>(dx, dy, x, passed, pixels, norm, a, b);
  else
    norm_apply_to<false>(dx, dy, x, passed, pixels, norm, a, b);
}

template <class T>
inline void max_pool_backward(float* dx, const float* x, const T* dy, std::size_t height, std::size_t width,
                              std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      for (int part = 0; part < block_vectors; ++part) {
        vec best = {}, first = {};  // the largest pixel so far, and which of the nine it is
        for (std::size_t i = 0; i < 9; ++i) {
          const std::size_t y = 2 * r + i / 3, z = 2 * c + i % 3;  // one more than in the image
          const bool inside = y > 0 && y <= height && z > 0 && z <= width;
          const vec value = inside ? load(x + ((y - 1) * width + z - 1) * 16 + part * lanes) : vec{};
          const vec number = vec{} + static_cast<float>(i);
          if (i == 0) {
            best = value;
            continue;
          }
          first = value > best ? number : first;
          best = value > best ? value : best;
        }
        const vec g = load(dy + (r * columns + c) * 16 + part * lanes);
        for (std::size_t i = 0; i < 9; ++i) {
          const std::size_t y = 2 * r + i / 3, z = 2 * c + i % 3;
          if (y == 0 || y > height || z == 0 || z > width) continue;
          float* to = dx + ((y - 1) * width + z - 1) * 16 + part * lanes;
          store(to, load(to) + (first == static_cast<float>(i) ? g : vec{}));
        }
      }
}

/// Loads `columns` floats and fills the row with zeros up to tile_columns.
__attribute__((always_inline)) inline void load_some(float* row, const float* x, std::size_t columns) {
  if (columns == static_cast<std::size_t>(tile_columns)) {
    __builtin_memcpy(row, x, sizeof(float) * static_cast<std::size_t>(tile_columns));
  } else {
    for (int c = 0; c < tile_columns; ++c) row[c] = 0.0f;
    __builtin_memcpy(row, x, sizeof(float) * columns);
  }
}

inline void standardise_sums(double* sums, double* products, const float* g, const float* w, std::size_t stride,
                             std::size_t rows, std::size_t columns, const double* mean, const double* scale) {
  alignas(64) float row[tile_columns];
  dvec total[tile_vectors] = {}, total_w[tile_vectors] = {};
  for (std::size_t k = 0; k < rows; ++k, g += tile_columns, w += stride) {
    load_some(row, w, columns);
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) {
      dvec m, s;
      load(m, mean + v * lanes);
      load(s, scale + v * lanes);
      const dvec gradient = __builtin_convertvector(load(g + v * lanes), dvec);
      total[v] += gradient;
      total_w[v] += gradient * ((__builtin_convertvector(load(row + v * lanes), dvec) - m) * s);
    }
  }
  for (int v = 0; v < tile_vectors; ++v) {
    add_to(sums + v * lanes, total[v]);
    add_to(products + v * lanes, total_w[v]);
  }
}

inline void standardise_apply(float* dw, const float* g, const float* w, std::size_t stride, std::size_t rows,
                              std::size_t columns, const double* mean, const double* scale, const double* factor,
                              const double* a, const double* b) {
  alignas(64) float row[tile_columns], sum[tile_columns];
  for (std::size_t k = 0; k < rows; ++k, g += tile_columns, w += stride, dw += stride) {
    load_some(row, w, columns);
    load_some(sum, dw, columns);
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) {
      dvec m, s, f, first, second;
      load(m, mean + v * lanes);
      load(s, scale + v * lanes);
      load(f, factor + v * lanes);
      load(first, a + v * lanes);
      load(second, b + v * lanes);
      const dvec standard = (__builtin_convertvector(load(row + v * lanes), dvec) - m) * s;
      const dvec change = f * (__builtin_convertvector(load(g + v * lanes), dvec) - first - standard * second);
      store(sum + v * lanes, load(sum + v * lanes) + __builtin_convertvector(change, vec));
    }
    __builtin_memcpy(dw, sum, sizeof(float) * columns);
  }
}

template <class = void>
inline constexpr backward_microkernel_table backward_table{tile_columns, outer_rows, outer, standardise_sums,
                                                           standardise_apply};
template <class T>
inline constexpr backward_map_microkernel_table<T> backward_map_table{norm_sums<T>, norm_apply<T>,
                                                                      max_pool_backward<T>};
