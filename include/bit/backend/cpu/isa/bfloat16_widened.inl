// SPDX-License-Identifier: Apache-2.0
// bfloat16 multiplied as float, which holds the products exactly: pixels are packed as floats, and the two weights of a
// pair are widened to float by a shift and a mask right before they are used. No include guard: see microkernels.inl.

template <>
struct product<bfloat16> {
  using packed = float;
  static constexpr int steps = 8, numbers_per_step = 2, parts = 2;
  static constexpr double relative_rate = 0.9;  // two operations beside 28 multiply-adds
  using weights = vec;
  __attribute__((always_inline)) static weights load_weights(const bfloat16* b, int part) {
    const words pairs = load_words(b);
    return reinterpret_cast<vec>(part == 0 ? pairs << 16 : pairs & 0xffff0000u);
  }
  __attribute__((always_inline)) static void add(vec& sum, const float* a, const weights& w) { sum += *a * w; }
};
