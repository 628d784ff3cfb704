// SPDX-License-Identifier: Apache-2.0
// Reading whole tensors to judge their values.
#pragma once

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include <bit/detail/finite.hpp>
#include <bit/program/parameter.hpp>

namespace bit::inline BIT_ABI::detail {

inline std::size_t element_count(const std::vector<std::size_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

/// One sentence if a tensor's values are unusable or a filter is constant, else nothing.
inline std::string bad_values(const named_tensor& tensor, bool& unusable) {
  std::vector<float> values(element_count(tensor.shape));
  tensor.data->read(std::span<float>(values));
  tensor.data->release();
  const auto bad = std::count_if(values.begin(), values.end(), [](float v) { return !is_finite(v); });
  if (bad > 0) {
    unusable = true;
    return tensor.name + ": " + std::to_string(bad) + " of " + std::to_string(values.size()) +
           " values are NaN or infinite";
  }
  if (!tensor.name.ends_with("standardized_conv2d/kernel")) return {};
  const std::size_t filters = tensor.shape.back(), taps = values.size() / filters;
  std::size_t constant = 0;
  for (std::size_t k = 0; k < filters; ++k) {
    std::size_t i = 1;
    while (i < taps && values[i * filters + k] == values[k]) ++i;
    constant += i == taps;
  }
  if (constant == 0) return {};
  return tensor.name + ": " + std::to_string(constant) + " of " + std::to_string(filters) +
         " filters have no variance, so standardisation turns them to zeros";
}

}  // namespace bit::inline BIT_ABI::detail
