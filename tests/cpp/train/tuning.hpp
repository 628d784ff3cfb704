// SPDX-License-Identifier: Apache-2.0
// A network and a data set small enough to be tuned within a test.
#pragma once

#include <bit/model/random.hpp>
#include <bit/train.hpp>
#include <cmath>
#include <string>
#include <vector>

/// `count` images of side x side pixels, label i % classes, whose colour tells the class.
inline bit::data::dataset_ptr images(std::size_t count, std::size_t classes, std::size_t side) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::size_t> labels;
  std::vector<std::string> names;
  for (std::size_t c = 0; c < classes; ++c) names.push_back("class " + std::to_string(c));
  for (std::size_t i = 0; i < count; ++i) {
    labels.push_back(i % classes);
    for (std::size_t p = 0; p < side * side; ++p)
      for (std::size_t k = 0; k < 3; ++k)
        pixels.push_back(static_cast<std::uint8_t>(k == i % classes ? 200 : (p * 7 + i * 13 + k) % 90));
  }
  return std::make_shared<bit::data::memory_dataset>(std::move(pixels), side, side, std::move(labels), std::move(names),
                                                     "made up");
}

inline bit::io::checkpoint tiny_checkpoint() {
  bit::io::checkpoint from;
  from.config = {.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 7};
  from.tensors = bit::random_tensors(from.config, 5);
  return from;
}

inline bit::train::tunable_model fresh_model(std::size_t classes, bit::dtype dtype = bit::dtype::float32) {
  return bit::train::with_new_head(tiny_checkpoint(), classes, dtype);
}

inline bit::train::fine_tune_options tiny_options() {
  bit::train::fine_tune_options options;
  options.batch = 4;
  options.base_lr = 0.01;
  options.resolution = bit::train::training_resolution{36, 32};
  options.save_seconds = 0;
  return options;
}
