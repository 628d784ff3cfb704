// SPDX-License-Identifier: Apache-2.0
// bfloat16 rounded and multiplied by the instructions of AVX-512-BF16. No include guard: see microkernels.inl.
#include <bit/backend/cpu/isa/bfloat16_rounded.inl>

/// One multiply-add is vdpbf16ps: it multiplies a pair of a pixel's channels by 16 pairs of weights and adds both
/// products of each pair to one of 16 floats.
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
