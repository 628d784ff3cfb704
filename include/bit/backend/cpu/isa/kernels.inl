// Leaf kernels, written once over compiler vector types and compiled once per instruction set. No include guard: each
// isa/<name>.hpp includes this inside its own namespace and target region, after defining
//   vector_bytes, tile_rows, tile_columns (constants).
// Plain vector types are as fast as intrinsics here: 248, 253 and 247 GFLOP/s of one core with g++ 12, clang 14 and
// clang 19 against 249, 252 and 250 (14x32 tile, k = 256, Zen 5).

// NOLINTBEGIN(modernize-use-using): an attribute with a constant size is spelled the same for both compilers only so.
typedef float vec __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
typedef double dvec __attribute__((vector_size(2 * vector_bytes), aligned(8), may_alias));
// NOLINTEND(modernize-use-using)

inline constexpr int lanes = vector_bytes / 4;
inline constexpr int tile_vectors = tile_columns / lanes;
inline constexpr int block_vectors = 16 / lanes;

/// Adds the sum and sum of squares of `rows` pixels to doubles. Deviations from the first pixel are summed in float
/// and only their totals meet the mean, so that a mean far larger than the spread costs no digits (one-pass sums of
/// squares in float cancel; plain float running sums alone made logits wrong by 1.5e-5 instead of 2e-6).
__attribute__((always_inline)) inline void add_statistics(double* statistics, const vec* x, int rows) {
  const vec base = x[0];
  vec deviation = {}, squares = {};
  for (int m = 1; m < rows; ++m) {
    const vec d = x[m] - base;
    deviation += d;
    squares += d * d;
  }
  const dvec b = __builtin_convertvector(base, dvec), d = __builtin_convertvector(deviation, dvec);
  *reinterpret_cast<dvec*>(statistics) += b * static_cast<double>(rows) + d;
  *reinterpret_cast<dvec*>(statistics + 16) +=
      __builtin_convertvector(squares, dvec) + b * (2.0 * d + b * static_cast<double>(rows));
}

/// Blocks of 16 k that are summed in one go. A float sum of n random terms loses about sqrt(n / 2) roundings: sums of 128
/// keep deep sums (k up to 18,432 in R152x4) as good as shallow ones. Over twelve random checkpoints of R50x1 and R101x1
/// the logits' error fell from 1.1 to 0.8 times that of PyTorch's float32; the rate stayed (253 GFLOP/s, Zen 5).
inline constexpr std::size_t blocks_per_sum = 8;

/// y[0..rows) of tile_columns channels: all sums stay in registers over the list of segments (1x1: one segment; 3x3:
/// nine taps; third convolution with projection: two), so that the output is touched once.
template <int rows>
inline void tile(const segment* segments, std::size_t count, const tile_output& out) {
  vec sum[rows][tile_vectors];
  alignas(64) vec total[rows][tile_vectors];
  std::size_t room = blocks_per_sum;
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) sum[m][v] = total[m][v] = vec{};

  for (const segment* s = segments; s != segments + count; ++s) {
    const float* b = s->b;
    for (std::size_t i = 0; i < s->blocks; ++i, --room) {
      if (room == 0) {
#pragma GCC unroll 16
        for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
          for (int v = 0; v < tile_vectors; ++v) {
            total[m][v] += sum[m][v];
            sum[m][v] = vec{};
          }
        room = blocks_per_sum;
      }
      const float* a = s->a + i * s->a_stride;
      for (int k = 0; k < 16; ++k) {
        // Keeps the compiler from carrying broadcasts over iterations, which spills (264 instead of 430 GFLOP/s).
        asm("" : "+r"(a));
        vec weights[tile_vectors];
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; ++v) weights[v] = *reinterpret_cast<const vec*>(b + v * lanes);
#pragma GCC unroll 16
        for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
          for (int v = 0; v < tile_vectors; ++v) sum[m][v] += a[m * 16] * weights[v];
        ++a;
        b += tile_columns;
      }
    }
  }

#pragma GCC unroll 4
  for (int v = 0; v < tile_vectors; ++v) {
    const std::size_t channel_block = static_cast<std::size_t>(v / block_vectors);
    if (channel_block >= out.blocks) break;
    const std::size_t at = channel_block * out.y_stride + static_cast<std::size_t>(v % block_vectors * lanes);
    vec column[rows];
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m) {
      column[m] = total[m][v] + sum[m][v];
      if (out.residual) column[m] += *reinterpret_cast<const vec*>(out.residual + at + m * 16);
      *reinterpret_cast<vec*>(out.y + at + m * 16) = column[m];
    }
    if (out.statistics) add_statistics(out.statistics + channel_block * 32 + v % block_vectors * lanes, column, rows);
  }
}

inline void normalise(float* y, const float* x, std::size_t pixels, std::size_t stride, const float* scale,
                      const float* shift) {
  for (int v = 0; v < block_vectors; ++v) {
    const vec a = *reinterpret_cast<const vec*>(scale + v * lanes),
              b = *reinterpret_cast<const vec*>(shift + v * lanes);
    for (std::size_t p = 0; p < pixels; ++p) {
      const vec z = a * *reinterpret_cast<const vec*>(x + p * stride * 16 + v * lanes) + b;
      *reinterpret_cast<vec*>(y + p * 16 + v * lanes) = z < 0.0f ? vec{} : z;
    }
  }
}

inline void normalised_sum(double* sum, const float* x, std::size_t pixels, const float* scale, const float* shift) {
  for (int v = 0; v < block_vectors; ++v) {
    const vec a = *reinterpret_cast<const vec*>(scale + v * lanes),
              b = *reinterpret_cast<const vec*>(shift + v * lanes);
    dvec total = {};
    for (std::size_t p = 0; p < pixels; ++p) {
      const vec z = a * *reinterpret_cast<const vec*>(x + p * 16 + v * lanes) + b;
      total += __builtin_convertvector(z < 0.0f ? vec{} : z, dvec);
    }
    *reinterpret_cast<dvec*>(sum + v * lanes) += total;
  }
}

inline void max_pool_row(float* y, std::size_t pixels, const float* const rows[3], std::size_t width) {
  for (int v = 0; v < block_vectors; ++v)
    for (std::size_t p = 0; p < pixels; ++p) {
      // Any window that leaves the image contains a zero of the padding.
      const bool inside = rows[0] && rows[1] && rows[2] && p > 0 && 2 * p + 1 < width;
      vec best = inside ? *reinterpret_cast<const vec*>(rows[1] + 2 * p * 16 + v * lanes) : vec{};
      for (int r = 0; r < 3; ++r) {
        if (!rows[r]) continue;
        const std::size_t end = 2 * p + 2 < width ? 2 * p + 2 : width;
        for (std::size_t c = p > 0 ? 2 * p - 1 : 0; c < end; ++c) {
          const vec x = *reinterpret_cast<const vec*>(rows[r] + c * 16 + v * lanes);
          best = best > x ? best : x;
        }
      }
      *reinterpret_cast<vec*>(y + p * 16 + v * lanes) = best;
    }
}

inline void accumulate_statistics(double* statistics, const float* x, std::size_t pixels) {
  for (std::size_t p = 0; p < pixels; p += 14) {
    const int rows = static_cast<int>(pixels - p < 14 ? pixels - p : 14);
    for (int v = 0; v < block_vectors; ++v) {
      vec column[14];
      for (int m = 0; m < rows; ++m)
        column[m] = *reinterpret_cast<const vec*>(x + (p + static_cast<std::size_t>(m)) * 16 + v * lanes);
      add_statistics(statistics + v * lanes, column, rows);
    }
  }
}

/// Loads tile_columns floats from any address; those beyond `columns` are zero.
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
      const dvec d = __builtin_convertvector(*reinterpret_cast<const vec*>(row + v * lanes), dvec) -
                     *reinterpret_cast<const dvec*>(mean + v * lanes);
      total[v] += d;
      total2[v] += d * d;
    }
  }
  for (int v = 0; v < tile_vectors; ++v) {
    *reinterpret_cast<dvec*>(sums + v * lanes) += total[v];
    *reinterpret_cast<dvec*>(squares + v * lanes) += total2[v];
  }
}

inline void scale_columns(float* y, const std::byte* x, std::size_t stride, std::size_t rows, std::size_t columns,
                          const double* mean, const double* scale) {
  alignas(64) float row[tile_columns];
  for (std::size_t k = 0; k < rows; ++k, y += tile_columns) {
    load_row(row, x + k * stride, columns);
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) {
      const dvec d = __builtin_convertvector(*reinterpret_cast<const vec*>(row + v * lanes), dvec) -
                     *reinterpret_cast<const dvec*>(mean + v * lanes);
      *reinterpret_cast<vec*>(y + v * lanes) =
          __builtin_convertvector(d * *reinterpret_cast<const dvec*>(scale + v * lanes), vec);
    }
  }
}

#include <bit/backend/cpu/isa/peak.inl>

template <int... m>
inline constexpr kernel_table make_table(const char* name, std::integer_sequence<int, m...>) {
  return {name,        tile_rows,      tile_columns, {tile<m + 1>...},
          normalise,   normalised_sum, max_pool_row, accumulate_statistics,
          column_sums, scale_columns,  fma_loop,     2 * fma_chains * lanes,
          read_loop};
}
