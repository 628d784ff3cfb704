// SPDX-License-Identifier: Apache-2.0
// Every public header, after the standard header whose name our folder shares.
#pragma once

#include <bit/data.hpp>
#include <bit/eval.hpp>
#include <bit/io.hpp>
#include <bit/reference.hpp>
#include <bit/resnet.hpp>
#include <bit/train.hpp>
#include <bit>

namespace odr {

using name_function = std::string (*)(const bit::resnet_config&);
name_function function_in_two();
bit::matrix<float> logits_in_two();

inline const bit::resnet_config small{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};
/// Logits of a small random network, computed by the code that the including translation unit sees.
static bit::matrix<float> logits_here() {
  const bit::tensor4<float> images = xt::ones<float>({1, 3, 40, 33});
  return bit::resnet_v2<>(small, 7).freeze()(images);
}

}  // namespace odr
