// SPDX-License-Identifier: Apache-2.0
// Winograd's transforms (arXiv:1509.09308) for output tiles of m x m pixels, m = 2 or 4, t = m + 2. No include
// guard: see microkernels.inl.
//   input   V = B' d B    d: t x t pixels of relu(norm(x)); neighbouring tiles share two rows and columns
//   kernel  U = G g G'    g: the 3 x 3 taps of one pair of channels; in double, when the kernel is packed
//   output  Y = A' M A    M[i] = V[i]·U[i], t·t products over the channels, made by the register tile
// Matrices are those of polynomial products at the points 0, 1, -1 (m = 2), 0, +-a, +-b (m = 4), and infinity:
// the input rows are the coefficients of prod(x - other points), the output rows are powers of the points, and the
// kernel rows are (1, p, p^2) / prod(p - other points). Textbook points 0, +-1, +-2 lose five times more digits than
// a = 1/sqrt(2), b = sqrt(2) (1.0e-5 against 2.0e-6 of the largest output, 256 channels), for the same work: a·b = 1
// keeps the entries of all three matrices between 1/6 and 5/2.

inline constexpr double point_a = 0.70710678118654752440, point_b = 1.41421356237309504880;
inline constexpr float fa = static_cast<float>(point_a), fb = static_cast<float>(point_b);

__attribute__((always_inline)) inline void input_transform(vec (&v)[4], const vec (&d)[4]) {
  v[0] = d[0] - d[2];
  v[1] = d[1] + d[2];
  v[2] = d[2] - d[1];
  v[3] = d[1] - d[3];
}

__attribute__((always_inline)) inline void input_transform(vec (&v)[6], const vec (&d)[6]) {
  const vec even_a = d[4] - 2.0f * d[2], odd_a = fa * d[3] - fb * d[1];
  const vec even_b = d[4] - 0.5f * d[2], odd_b = fb * d[3] - fa * d[1];
  v[0] = d[0] - 2.5f * d[2] + d[4];
  v[1] = even_a + odd_a;
  v[2] = even_a - odd_a;
  v[3] = even_b + odd_b;
  v[4] = even_b - odd_b;
  v[5] = d[1] - 2.5f * d[3] + d[5];
}

__attribute__((always_inline)) inline void kernel_transform(dvec (&u)[4], const dvec (&g)[3]) {
  const dvec even = 0.5 * (g[0] + g[2]), odd = 0.5 * g[1];
  u[0] = g[0];
  u[1] = even + odd;
  u[2] = even - odd;
  u[3] = g[2];
}

__attribute__((always_inline)) inline void kernel_transform(dvec (&u)[6], const dvec (&g)[3]) {
  const dvec even_a = (-2.0 / 3.0) * (g[0] + 0.5 * g[2]), odd_a = (-2.0 / 3.0) * point_a * g[1];
  const dvec even_b = (1.0 / 6.0) * (g[0] + 2.0 * g[2]), odd_b = (1.0 / 6.0) * point_b * g[1];
  u[0] = g[0];
  u[1] = even_a + odd_a;
  u[2] = even_a - odd_a;
  u[3] = even_b + odd_b;
  u[4] = even_b - odd_b;
  u[5] = g[2];
}

__attribute__((always_inline)) inline void output_transform(vec (&y)[2], const vec (&m)[4]) {
  y[0] = m[0] + m[1] + m[2];
  y[1] = m[1] - m[2] - m[3];
}

__attribute__((always_inline)) inline void output_transform(vec (&y)[4], const vec (&m)[6]) {
  const vec even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + even_a + even_b;
  y[1] = fa * odd_a + fb * odd_b;
  y[2] = 0.5f * even_a + 2.0f * even_b;
  y[3] = (0.5f * fa) * odd_a + (2.0f * fb) * odd_b + m[5];
}

/// The first half of the input transform: applies norm, ReLU and zero padding, then transforms each column of t pixels,
/// and writes the result into a strip [t][columns][16] that stays in L1. Neighbouring tiles share columns of the strip.
/// `all_rows` promises that no row of the strip lies outside the image. `part` is the vector within the block of 16.
template <class T, int m, bool all_rows>
__attribute__((always_inline)) inline void transform_columns(const winograd_input<T>& in, int part) {
  constexpr int t = m + 2;
  const std::size_t columns = in.tiles * m + 2;
  const vec scale = load(in.scale + part * lanes), shift = load(in.shift + part * lanes);
  for (std::size_t c = 0; c < columns; ++c) {
    vec d[t] = {}, v[t] = {};
    const std::size_t x = in.column + c;  // of the padded image
    if (x > 0 && x <= in.width) {
#pragma GCC unroll 6
      for (int i = 0; i < t; ++i) {
        const std::size_t y = in.row + static_cast<std::size_t>(i);
        if (all_rows || (y > 0 && y <= in.height)) {
          const vec value = scale * load(in.x + ((y - 1) * in.width + x - 1) * 16 + part * lanes) + shift;
          d[i] = value < in.floor ? vec{} + in.floor : value;  // NaN stays NaN
        }
      }
      input_transform(v, d);
    }
#pragma GCC unroll 6
    for (int i = 0; i < t; ++i) store(in.strip + (static_cast<std::size_t>(i) * columns + c) * 16 + part * lanes, v[i]);
  }
}

template <class F, int m>
inline void transform_input(const winograd_input<feature_map_of<F>>& in) {
  constexpr int t = m + 2;
  using packed = packed_of<F>;
  const std::size_t columns = in.tiles * m + 2;
  for (int part = 0; part < block_vectors; ++part) {
    if (in.row > 0 && in.row + t <= in.height + 1)
      transform_columns<feature_map_of<F>, m, true>(in, part);
    else
      transform_columns<feature_map_of<F>, m, false>(in, part);
    for (int i = 0; i < t; ++i) {
      const float* row = in.strip + static_cast<std::size_t>(i) * columns * 16 + part * lanes;
      packed* to = reinterpret_cast<packed*>(in.v) + static_cast<std::size_t>(i * t) * in.v_stride + part * lanes;
      for (std::size_t tile = 0; tile < in.tiles; ++tile, row += m * 16, to += 16) {
        vec d[t], v[t];
#pragma GCC unroll 6
        for (int j = 0; j < t; ++j) d[j] = load(row + j * 16);
        input_transform(v, d);
#pragma GCC unroll 6
        for (int j = 0; j < t; ++j) store(to + static_cast<std::size_t>(j) * in.v_stride, v[j]);
      }
    }
  }
}

/// Transforms one tile's products to its m x m output pixels, writes the rows x columns of them that are inside the
/// image, and adds their statistics.
template <class T, int m>
__attribute__((always_inline)) inline void write_tile(const winograd_output<T>& out, const float* from, T* y,
                                                      double* statistics, int rows, int columns) {
  constexpr int t = m + 2;
  vec half[t][m], pixels[m * m] = {};
#pragma GCC unroll 6
  for (int j = 0; j < t; ++j) {
    vec down[t];
#pragma GCC unroll 6
    for (int i = 0; i < t; ++i) down[i] = load(from + static_cast<std::size_t>(i * t + j) * out.m_stride);
    output_transform(half[j], down);
  }
#pragma GCC unroll 4
  for (int i = 0; i < m; ++i) {
    if (i >= rows) break;
    vec column[t], pixel[m];
#pragma GCC unroll 6
    for (int j = 0; j < t; ++j) column[j] = half[j][i];
    output_transform(pixel, column);
#pragma GCC unroll 4
    for (int j = 0; j < m; ++j) {
      if (j >= columns) break;
      pixels[i * columns + j] = pixel[j];
      store(y + (static_cast<std::size_t>(i) * out.width + static_cast<std::size_t>(j)) * 16, pixel[j]);
    }
  }
  if (statistics) add_statistics(statistics, pixels, rows * columns);
}

template <class T, int m>
inline void transform_output(const winograd_output<T>& out) {
  const std::size_t below = out.height - out.row;
  const int rows = below < m ? static_cast<int>(below) : m;
  for (int part = 0; part < block_vectors; ++part) {
    double* statistics = out.statistics ? out.statistics + part * lanes : nullptr;
    for (std::size_t tile = 0; tile < out.tiles; ++tile) {
      const std::size_t x = out.column + tile * m, right = out.width - x;
      const float* from = out.m + tile * 16 + part * lanes;
      T* y = out.y + (out.row * out.width + x) * 16 + part * lanes;
      if (rows == m && right >= m)
        write_tile<T, m>(out, from, y, statistics, m, m);
      else
        write_tile<T, m>(out, from, y, statistics, rows, right < m ? static_cast<int>(right) : m);
    }
  }
}

/// The kernel transform for one vector of output channels and one input channel: nine taps, `tap_stride` floats apart,
/// to t·t values.
template <int m>
__attribute__((always_inline)) inline void transform_taps(vec (&u)[(m + 2) * (m + 2)], const float* taps,
                                                          std::size_t tap_stride) {
  constexpr int t = m + 2;
  dvec half[3][t];
  for (int j = 0; j < 3; ++j) {
    dvec g[3];
    for (int i = 0; i < 3; ++i)
      g[i] = __builtin_convertvector(load(taps + static_cast<std::size_t>(i * 3 + j) * tap_stride), dvec);
    kernel_transform(half[j], g);
  }
  for (int i = 0; i < t; ++i) {
    const dvec g[3] = {half[0][i], half[1][i], half[2][i]};
    dvec row[t];
    kernel_transform(row, g);
    for (int j = 0; j < t; ++j) u[i * t + j] = __builtin_convertvector(row[j], vec);
  }
}

template <class T, int m>
inline void transform_kernel(T* u, std::size_t u_stride, const float* taps, std::size_t rows) {
  constexpr int products = (m + 2) * (m + 2);
  constexpr std::size_t step = product<T>::numbers_per_step;
  for (std::size_t k = 0; k < rows; k += step)
    for (int v = 0; v < tile_vectors; ++v) {
      vec values[step][products];
      for (std::size_t i = 0; i < step; ++i)
        transform_taps<m>(values[i], taps + (k + i) * tile_columns + v * lanes, rows * tile_columns);
      T* to = u + k * tile_columns + step * static_cast<std::size_t>(v * lanes);
      for (int i = 0; i < products; ++i, to += u_stride) {
        if constexpr (step == 1)
          store(to, values[0][i]);
        else
          store_words(to, __builtin_convertvector(to_bfloat16(values[0][i]), words) |
                              __builtin_convertvector(to_bfloat16(values[1][i]), words) << 16);
      }
    }
}

template <class F, int m>
inline constexpr winograd_transforms<F> make_winograd() {
  return {transform_input<F, m>, transform_output<feature_map_of<F>, m>, transform_kernel<weight_of<F>, m>};
}
