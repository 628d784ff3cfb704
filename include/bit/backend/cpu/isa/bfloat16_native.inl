// bfloat16 with AVX-512-BF16: one instruction multiplies 32 pairs and adds them to 16 floats. No include guard: see
// kernels.inl. The instructions are written out, since <immintrin.h> would cost every program that includes this library
// 57,000 lines to parse.

__attribute__((always_inline)) inline halves to_bfloat16(const vec& x) {
  halves y;
  asm("vcvtneps2bf16 %1, %0" : "=v"(y) : "v"(x));
  return y;
}

template <>
struct product<bfloat16> {
  static constexpr int steps = 8, numbers_per_step = 2;
  static constexpr double relative_rate = 2;  // 947-1051 against 463-529 GFLOP/s
  using weights = words;
  __attribute__((always_inline)) static weights load_weights(const bfloat16* b) { return load_words(b); }
  __attribute__((always_inline)) static void add(vec& sum, const bfloat16* a, const weights& w) {
    std::uint32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(words{} + pair), "v"(w));
  }
};
