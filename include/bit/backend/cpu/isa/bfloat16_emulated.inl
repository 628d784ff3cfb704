// bfloat16 without instructions for it: rounded in integers. No include guard: see kernels.inl.

__attribute__((always_inline)) inline halves to_bfloat16(const vec& x) {
  const words bits = reinterpret_cast<words>(x);
  const words rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, nan = bits >> 16 | 0x40u;
  return __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded, halves);
}

#include <bit/backend/cpu/isa/bfloat16_widened.inl>

/// Products of pairs on both sides, as bfloat16_native.inl has them.
struct pair_multiply {
  struct weights {
    vec low, high;
  };
  __attribute__((always_inline)) static weights load_weights(const bfloat16* b) {
    return {product<bfloat16>::load_weights(b, 0), product<bfloat16>::load_weights(b, 1)};
  }
  __attribute__((always_inline)) static void add(vec& sum, const bfloat16* a, const weights& w) {
    sum += static_cast<float>(a[0]) * w.low;
    sum += static_cast<float>(a[1]) * w.high;
  }
};
