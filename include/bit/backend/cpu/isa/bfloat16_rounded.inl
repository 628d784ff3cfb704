// SPDX-License-Identifier: Apache-2.0
// bfloat16 rounded by the instruction of AVX-512-BF16. Its instructions are written out, since <immintrin.h> would cost
// every program that includes this library 57,000 lines to parse. No include guard: see microkernels.inl.

__attribute__((always_inline)) inline halves to_bfloat16(const vec& x) {
  halves y;
  asm("vcvtneps2bf16 %1, %0" : "=v"(y) : "v"(x));
  return y;
}
