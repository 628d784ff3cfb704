// bfloat16 with AVX-512-BF16: one instruction multiplies 32 pairs and adds them to 16 floats. No include guard: see
// kernels.inl.

__attribute__((always_inline)) inline halves to_bfloat16(const vec& x) {
  return reinterpret_cast<halves>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(x)));
}

template <>
struct product<bfloat16> {
  static constexpr int steps = 8, numbers_per_step = 2;
  static constexpr double relative_rate = 2;  // 947-1051 against 463-529 GFLOP/s
  using weights = words;
  __attribute__((always_inline)) static weights load_weights(const bfloat16* b) {
    return *reinterpret_cast<const words*>(b);
  }
  __attribute__((always_inline)) static void add(vec& sum, const bfloat16* a, const weights& w) {
    std::uint32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    sum = reinterpret_cast<vec>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                 reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pair))),
                                                 reinterpret_cast<__m512bh>(w)));
  }
};
