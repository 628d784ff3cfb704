// SPDX-License-Identifier: Apache-2.0
// Vector types of one instruction set, and how numbers of each type are loaded into them and stored. No include guard:
// see microkernels.inl.

// NOLINTBEGIN(modernize-use-using): an attribute with a constant size is spelled the same for both compilers only so.
typedef float vec __attribute__((vector_size(vector_bytes)));
typedef double dvec __attribute__((vector_size(2 * vector_bytes)));
typedef std::uint32_t words __attribute__((vector_size(vector_bytes)));
typedef std::uint16_t halves __attribute__((vector_size(vector_bytes / 2)));

// The same in memory of any alignment; clang takes arrays and temporaries of such a type for aligned ones, so these are
// for loads and stores only.
typedef float vec_at __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
typedef double dvec_at __attribute__((vector_size(2 * vector_bytes), aligned(8), may_alias));
typedef std::uint32_t words_at __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
typedef std::uint16_t halves_at __attribute__((vector_size(vector_bytes / 2), aligned(2), may_alias));
// NOLINTEND(modernize-use-using)

inline constexpr int lanes = vector_bytes / 4;
inline constexpr int tile_vectors = tile_columns / lanes;
inline constexpr int block_vectors = 16 / lanes;

__attribute__((always_inline)) inline vec load(const float* x) { return *reinterpret_cast<const vec_at*>(x); }
__attribute__((always_inline)) inline void store(float* y, const vec& x) { *reinterpret_cast<vec_at*>(y) = x; }

/// The upper half of each float, rounded to nearest even; NaN stays NaN.
inline halves to_bfloat16(const vec& x);

/// bfloat16 is the upper half of a float.
__attribute__((always_inline)) inline vec load(const bfloat16* x) {
  return reinterpret_cast<vec>(__builtin_convertvector(*reinterpret_cast<const halves_at*>(x), words) << 16);
}
__attribute__((always_inline)) inline void store(bfloat16* y, const vec& x) {
  *reinterpret_cast<halves_at*>(y) = to_bfloat16(x);
}

/// Loads doubles into `to`. They are not returned by value, because a vector wider than the registers gives an ABI
/// warning, nor as a reference to dvec_at, because clang 14 then assumes that it is aligned.
__attribute__((always_inline)) inline void load(dvec& to, const double* x) {
  to = *reinterpret_cast<const dvec_at*>(x);
}
__attribute__((always_inline)) inline void add_to(double* y, const dvec& x) { *reinterpret_cast<dvec_at*>(y) += x; }

__attribute__((always_inline)) inline words load_words(const void* x) { return *static_cast<const words_at*>(x); }
__attribute__((always_inline)) inline void store_words(void* y, const words& x) { *static_cast<words_at*>(y) = x; }

/// max(0, x); NaN stays NaN.
__attribute__((always_inline)) inline vec relu(const vec& x) { return x < 0.0f ? vec{} : x; }

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
  add_to(statistics, b * static_cast<double>(rows) + d);
  add_to(statistics + 16, __builtin_convertvector(squares, dvec) + b * (2.0 * d + b * static_cast<double>(rows)));
}

/// How a tile multiplies weights of type T by pixels that are packed as numbers of type `packed`. A block of 16
/// channels takes `steps` steps; each step covers `numbers_per_step` channels with `parts` multiply-adds.
template <class T>
struct product;

template <>
struct product<float> {
  using packed = float;
  static constexpr int steps = 16, numbers_per_step = 1, parts = 1;
  static constexpr double relative_rate = 1;  ///< this tile's rate over the float tile's, for the cost model
  using weights = vec;
  __attribute__((always_inline)) static weights load_weights(const float* b, int /*part*/) { return load(b); }
  __attribute__((always_inline)) static void add(vec& sum, const float* a, const weights& w) { sum += *a * w; }
};
