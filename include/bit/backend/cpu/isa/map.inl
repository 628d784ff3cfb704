// SPDX-License-Identifier: Apache-2.0
// What is done to a feature map between convolutions: norm, ReLU, pooling, sums, conversion. table.hpp says what each
// function computes. No include guard: see microkernels.inl.

template <class To, class T>
inline void normalise(To* y, const T* x, std::size_t pixels, std::size_t stride, const float* scale,
                      const float* shift) {
  for (int v = 0; v < block_vectors; ++v) {
    const vec a = load(scale + v * lanes), b = load(shift + v * lanes);
    for (std::size_t p = 0; p < pixels; ++p)
      store(y + p * 16 + v * lanes, relu(a * load(x + p * stride * 16 + v * lanes) + b));
  }
}

/// The type of the numbers that pixels are packed as in format F.
template <class F>
using packed_of = typename product<weight_of<F>>::packed;

template <class F>
inline void pack_normalised(std::byte* y, const feature_map_of<F>* x, std::size_t pixels, std::size_t stride,
                            const float* scale, const float* shift) {
  normalise(reinterpret_cast<packed_of<F>*>(y), x, pixels, stride, scale, shift);
}

template <class F>
inline void pack(std::byte* y, const feature_map_of<F>* x, std::size_t pixels, std::size_t stride) {
  packed_of<F>* to = reinterpret_cast<packed_of<F>*>(y);
  if constexpr (!std::is_same_v<packed_of<F>, feature_map_of<F>>) {
    for (std::size_t p = 0; p < pixels; ++p)
      for (int v = 0; v < block_vectors; ++v) store(to + p * 16 + v * lanes, load(x + p * stride * 16 + v * lanes));
  } else if (stride == 1) {
    __builtin_memcpy(y, x, pixels * 16 * sizeof(*x));
  } else {
    for (std::size_t p = 0; p < pixels; ++p) __builtin_memcpy(to + p * 16, x + p * stride * 16, 16 * sizeof(*x));
  }
}

template <class F>
inline void pack_floats(std::byte* y, const float* x, std::size_t pixels) {
  packed_of<F>* to = reinterpret_cast<packed_of<F>*>(y);
  for (std::size_t i = 0; i < pixels * 16; i += lanes) store(to + i, load(x + i));
}

template <class T>
inline void normalised_sum(double* sum, const T* x, std::size_t pixels, const float* scale, const float* shift) {
  for (int v = 0; v < block_vectors; ++v) {
    const vec a = load(scale + v * lanes), b = load(shift + v * lanes);
    dvec total = {};
    for (std::size_t p = 0; p < pixels; ++p)
      total += __builtin_convertvector(relu(a * load(x + p * 16 + v * lanes) + b), dvec);
    add_to(sum + v * lanes, total);
  }
}

/// The maximum of `best` and of the columns from `begin` to `end` in those of the three rows that are not null.
inline vec max_of(vec best, const float* const rows[3], std::size_t begin, std::size_t end) {
  for (int r = 0; r < 3; ++r)
    for (std::size_t c = begin; rows[r] && c < end; ++c) {
      const vec x = load(rows[r] + c * 16);
      best = best > x ? best : x;
    }
  return best;
}

template <class T>
inline void max_pool_row(T* y, std::size_t pixels, const float* const rows[3], std::size_t width) {
  for (int v = 0; v < block_vectors; ++v, y += lanes) {
    const float* const at[3] = {rows[0] ? rows[0] + v * lanes : nullptr, rows[1] ? rows[1] + v * lanes : nullptr,
                                rows[2] ? rows[2] + v * lanes : nullptr};
    const bool whole = at[0] && at[1] && at[2];
    for (std::size_t p = 0; p < pixels; ++p) {
      // A window that reaches beyond the image contains a zero of the padding.
      if (whole && p > 0 && 2 * p + 1 < width)
        store(y + p * 16, max_of(load(at[1] + 2 * p * 16), at, 2 * p - 1, 2 * p + 2));
      else
        store(y + p * 16, max_of(vec{}, at, p > 0 ? 2 * p - 1 : 0, 2 * p + 2 < width ? 2 * p + 2 : width));
    }
  }
}

template <class T>
inline void accumulate_statistics(double* statistics, const T* x, std::size_t pixels) {
  for (std::size_t p = 0; p < pixels; p += 14) {
    const int rows = static_cast<int>(pixels - p < 14 ? pixels - p : 14);
    for (int v = 0; v < block_vectors; ++v) {
      vec column[14];
      for (int m = 0; m < rows; ++m) column[m] = load(x + (p + static_cast<std::size_t>(m)) * 16 + v * lanes);
      add_statistics(statistics + v * lanes, column, rows);
    }
  }
}

template <class T>
inline void widen(float* y, const T* x, std::size_t pixels, std::size_t stride) {
  for (std::size_t p = 0; p < pixels; ++p)
    for (int v = 0; v < block_vectors; ++v) store(y + p * 16 + v * lanes, load(x + p * stride * 16 + v * lanes));
}

template <class T>
inline void narrow(T* y, const float* x, std::size_t pixels) {
  for (std::size_t i = 0; i < pixels * 16; i += lanes) store(y + i, load(x + i));
}
