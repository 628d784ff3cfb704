// SPDX-License-Identifier: Apache-2.0
// Exits with 0 if code compiled header-only without optimisation gives the library's logits to the bit, on every
// instruction set that the CPU has.
#include <cstdio>

#include "logits.hpp"

std::vector<float> odr::logits_of_library(const std::string& isa, bool bfloat16, std::uint64_t seed) {
  return bfloat16 ? logits<bit::bfloat16>(isa, seed) : logits<float>(isa, seed);
}

int main() {
  int failures = 0;
  for (const std::string& isa : bit::available_isas())
    for (const bool bfloat16 : {false, true}) {
      const std::vector<float> expected = odr::logits_of_library(isa, bfloat16, 1);
      const bool same = odr::logits_of_debug_code(isa, bfloat16, 1) == expected;
      const bool other = odr::logits_of_debug_code(isa, bfloat16, 2) == expected;  // other parameters, other logits
      std::printf("%s, %s: %s\n", isa.c_str(), bfloat16 ? "bfloat16" : "float32",
                  same && !other ? "equal" : "not equal");
      failures += !same || other;
    }
  return failures;
}
