// SPDX-License-Identifier: Apache-2.0
// bfloat16 for CPUs without instructions for it: rounded by integer arithmetic, multiplied as float. No include guard:
// see microkernels.inl.

__attribute__((always_inline)) inline halves to_bfloat16(const vec& x) {
  const words bits = reinterpret_cast<words>(x);
  const words rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, nan = bits >> 16 | 0x40u;
  return __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded, halves);
}

#include <bit/backend/cpu/isa/bfloat16_widened.inl>
