// SPDX-License-Identifier: Apache-2.0
// Exits with 0 if both translation units see the same functions and the standard header <bit> is the standard one.
#include "everything.hpp"

int main() {
  const odr::name_function here = &bit::architecture_name, there = odr::function_in_two();
  const bool same = here == there && odr::logits_here() == odr::logits_in_two();
  return same && there({}) == "R50x1" && std::popcount(0b1011u) == 3 ? 0 : 1;
}
