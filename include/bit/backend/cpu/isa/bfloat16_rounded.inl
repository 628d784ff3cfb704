// The instructions of AVX-512-BF16 are written out, since <immintrin.h> would cost every program that includes this
// library 57,000 lines to parse. No include guard: see kernels.inl.

__attribute__((always_inline)) inline halves to_bfloat16(const vec& x) {
  halves y;
  asm("vcvtneps2bf16 %1, %0" : "=v"(y) : "v"(x));
  return y;
}

/// Multiplies 32 pairs and adds them to 16 floats.
struct pair_multiply {
  using weights = words;
  __attribute__((always_inline)) static weights load_weights(const bfloat16* b) { return load_words(b); }
  __attribute__((always_inline)) static void add(vec& sum, const bfloat16* a, const weights& w) {
    std::uint32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(words{} + pair), "v"(w));
  }
};
