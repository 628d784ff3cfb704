#include <bit/model/config.hpp>
#include <bit>
#include <iostream>

#if defined(XTENSOR_USE_XSIMD) || defined(XTENSOR_USE_OPENMP)
#error "bit's targets must not change what xtensor is in a consumer's program"
#endif

int main() {
  std::cout << bit::architecture_name({}) << ", " << std::popcount(0b1011u) << " bits\n";
  return bit::architecture_name({}) == "R50x1" ? 0 : 1;
}
