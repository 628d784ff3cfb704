// bfloat16 with the instructions of AVX-512-BF16 for rounding and for products. No include guard: see microkernels.inl.
#include <bit/backend/cpu/isa/bfloat16_rounded.inl>

/// Multiplies 32 pairs and adds them to 16 floats.
template <>
struct product<bfloat16> {
  using packed = bfloat16;
  static constexpr int steps = 8, numbers_per_step = 2, parts = 1;
  static constexpr double relative_rate = 2;  // 947-1051 against 463-529 GFLOP/s, Zen 5
  using weights = words;
  __attribute__((always_inline)) static weights load_weights(const bfloat16* b, int /*part*/) { return load_words(b); }
  __attribute__((always_inline)) static void add(vec& sum, const bfloat16* a, const weights& w) {
    std::uint32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(words{} + pair), "v"(w));
  }
};
