// What an optimiser sees of a model: named values and their gradients, owned by the model.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bit::inline v0 {

/// One parameter under its official name and layout (kernels HWIO), with as many values as gradients. Not owned.
template <class T = float>
struct trainable_parameter {
  std::string name;
  std::vector<std::size_t> shape;
  std::span<T> value, gradient;
};

}  // namespace bit::inline v0
