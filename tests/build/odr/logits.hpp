// SPDX-License-Identifier: Apache-2.0
// Logits of a small random network on an instruction set, computed by the code that the unit sees.
#pragma once

#include <bit/resnet.hpp>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace odr {

std::vector<float> logits_of_debug_code(const std::string& isa, bool bfloat16, std::uint64_t seed);
std::vector<float> logits_of_library(const std::string& isa, bool bfloat16, std::uint64_t seed);

template <class T>
std::vector<float> logits(const std::string& isa, std::uint64_t seed) {
  setenv("BIT_ISA", isa.c_str(), 1);
  const bit::resnet_config config{.units = {1, 2, 1, 1}, .stem_channels = 32, .num_classes = 10};
  auto images = bit::tensor4<float>::from_shape({2, 3, 61, 47});
  for (std::size_t i = 0; i < images.size(); ++i) images.data()[i] = static_cast<float>(i * 7919 % 1000) / 500 - 1;
  const bit::matrix<float> out = bit::resnet_v2<bit::cpu<T>>(config, seed).freeze()(images);
  return {out.begin(), out.end()};
}

}  // namespace odr
