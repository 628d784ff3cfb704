// SPDX-License-Identifier: Apache-2.0
// Header-only, compiled without optimisation.
#include "logits.hpp"

std::vector<float> odr::logits_of_debug_code(const std::string& isa, bool bfloat16, std::uint64_t seed) {
  return bfloat16 ? logits<bit::bfloat16>(isa, seed) : logits<float>(isa, seed);
}
