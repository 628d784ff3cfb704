// SPDX-License-Identifier: Apache-2.0
// A parameter that training changes, and the gradient that goes with it, where both lie in the CPU's memory.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// A view of one parameter of a model in training: official name and layout (kernels HWIO). The memory belongs to the
/// model's parameters. Values are read here and changed through the parameters alone, which then know that they changed.
template <class T>
struct trainable_parameter {
  std::string name;
  std::vector<std::size_t> shape;
  std::span<const T> value;
  std::span<T> gradient;  ///< empty for a frozen parameter
};

}  // namespace bit::inline BIT_ABI
