// SPDX-License-Identifier: Apache-2.0
// Name and shape of a tensor, without its values.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// Name and shape of one parameter in the official npz layout (kernels HWIO).
struct tensor_spec {
  std::string name;
  std::vector<std::size_t> shape;

  /// Number of values that the shape holds.
  std::size_t size() const { return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>()); }
};

}  // namespace bit::inline BIT_ABI
