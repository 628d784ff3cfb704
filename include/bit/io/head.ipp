// SPDX-License-Identifier: Apache-2.0
// Bodies of io/head.hpp.
#pragma once

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include <bit/error.hpp>
#include <bit/io/convert.hpp>
#include <bit/io/head.hpp>

namespace bit::inline BIT_ABI::detail {

/// Normal values by splitmix64 (Steele et al. 2014) and Box-Muller: std::normal_distribution differs between libraries.
inline std::vector<float> normal_values(std::size_t count, double deviation, std::uint64_t seed) {
  const auto uniform = [&seed] {
    std::uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (static_cast<double>((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;  // inside (0, 1)
  };
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; i += 2) {
    const double radius = deviation * std::sqrt(-2 * std::log(uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return values;
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::io {

BIT_FUNC checkpoint adapt_head(checkpoint from, const head& to) {
  if (to.kind_ == head::kind::keep) return from;
  if (from.config.num_classes > 0) {  // kernel and bias are the last two tensors
    from.tensors.resize(from.tensors.size() - 2);
    from.stored.resize(from.tensors.size());
  }
  from.config.num_classes = 0;
  if (to.kind_ == head::kind::drop) return from;
  if (to.classes_ == 0) throw config_error("[head] expected at least one class; head::drop() leaves the head out");
  const std::size_t features = from.config.num_features(), size = features * to.classes_;
  from.config.num_classes = to.classes_;
  from.tensors.push_back({"resnet/head/conv2d/kernel",
                          {1, 1, features, to.classes_},
                          in_memory(to.kind_ == head::kind::zero ? std::vector<float>(size)
                                                                 : detail::normal_values(size, 0.01, to.seed_))});
  from.tensors.push_back({"resnet/head/conv2d/bias", {to.classes_}, in_memory(std::vector<float>(to.classes_))});
  from.stored.resize(from.tensors.size(), dtype::float32);
  return from;
}

}  // namespace bit::inline BIT_ABI::io
