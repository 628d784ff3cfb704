// SPDX-License-Identifier: Apache-2.0
// Random features of a small network: enough to compile, link and run every part that inference needs.
#include <bit/resnet.hpp>
#include <bit>
#include <iostream>

#if defined(XTENSOR_USE_XSIMD) || defined(XTENSOR_USE_OPENMP) || defined(XTENSOR_USE_FLENS_BLAS)
#error "bit's targets must not change what xtensor and xtensor-blas are in a consumer's program"
#endif

int main() {
  const bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};
  const auto model = bit::resnet_v2<>(config).freeze();
  const bit::tensor4<float> images = xt::ones<float>({2, 3, 32, 32});
  const bit::matrix<float> logits = model(images);
  std::cout << bit::architecture_name(config) << ": " << logits.size() << " logits\n";
  return logits.shape(0) == 2 && logits.shape(1) == 10 && std::popcount(logits.size()) == 2 ? 0 : 1;
}
