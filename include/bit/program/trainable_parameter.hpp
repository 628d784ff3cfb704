// A parameter that training changes, and the gradient that goes with it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bit::inline v0 {

/// One parameter of a trainable model, official name and layout (kernels HWIO); the memory belongs to the model and
/// stays where it is while the model lives.
template <class T>
struct trainable_parameter {
  std::string name;
  std::vector<std::size_t> shape;
  std::span<T> value, gradient;
};

}  // namespace bit::inline v0
