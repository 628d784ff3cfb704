// SPDX-License-Identifier: Apache-2.0
// Random small architectures, sizes and parameters.
#pragma once

#include <bit/model/config.hpp>

#include "random_data.hpp"

namespace test {

/// Random values for every parameter: the kernels have a mean on purpose, to show a missing standardisation.
inline std::vector<bit::named_tensor> random_parameters(const bit::resnet_config& config, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<bit::named_tensor> tensors;
  for (const bit::tensor_spec& spec : bit::tensor_specs(config)) {
    const bool gamma = spec.name.ends_with("gamma"), head = spec.name.ends_with("head/conv2d/kernel");
    tensors.push_back(random_tensor(spec.name, spec.shape, random,
                                    gamma  ? 1.0f
                                    : head ? 0.0f
                                           : 0.02f,
                                    gamma  ? 0.2f
                                    : head ? 0.02f
                                           : 0.1f));
  }
  return tensors;
}

struct sample {
  bit::resnet_config config;
  bit::dims4 image;
};

/// Architectures and sizes that no released model has: odd channels, one group, 1x1 images, dilation.
inline sample random_sample(std::mt19937& random) {
  const auto pick = [&](std::size_t low, std::size_t high) {
    return std::uniform_int_distribution<std::size_t>(low, high)(random);
  };
  sample s;
  for (std::size_t& n : s.config.units) n = pick(1, 2);
  s.config.groups = pick(1, 5);
  s.config.stem_channels = s.config.groups * pick(1, 6);
  s.config.in_channels = pick(1, 5);
  s.config.num_classes = pick(1, 40);
  s.config.output_stride = std::size_t{8} << pick(0, 2);
  s.image = {pick(1, 3), s.config.in_channels, pick(1, 50), pick(1, 50)};
  return s;
}

}  // namespace test
