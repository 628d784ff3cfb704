// bfloat16 without instructions for it: rounding in integers, products in float, which hold them exactly. No include
// guard: see kernels.inl.

__attribute__((always_inline)) inline halves to_bfloat16(const vec& x) {
  const words bits = reinterpret_cast<words>(x);
  const words rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, nan = bits >> 16 | 0x40u;
  return __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded, halves);
}

template <>
struct product<bfloat16> {
  static constexpr int steps = 8, numbers_per_step = 2;
  static constexpr double relative_rate = 0.5;  // two conversions to two multiply-adds
  struct weights {
    vec low, high;
  };
  __attribute__((always_inline)) static weights load_weights(const bfloat16* b) {
    const words pairs = load_words(b);
    return {reinterpret_cast<vec>(pairs << 16), reinterpret_cast<vec>(pairs & 0xffff0000u)};
  }
  __attribute__((always_inline)) static void add(vec& sum, const bfloat16* a, const weights& w) {
    sum += static_cast<float>(a[0]) * w.low;
    sum += static_cast<float>(a[1]) * w.high;
  }
};
