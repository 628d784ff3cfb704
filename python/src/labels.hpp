// SPDX-License-Identifier: Apache-2.0
// Arrays of labels and indices.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <bit/error.hpp>
#include <cstdint>
#include <string>
#include <vector>

using label_array = pybind11::array_t<std::int64_t, pybind11::array::c_style | pybind11::array::forcecast>;
using indices = std::vector<std::size_t>;

inline label_array to_array(const indices& values) {
  label_array array(static_cast<pybind11::ssize_t>(values.size()));
  std::transform(values.begin(), values.end(), array.mutable_data(),
                 [](std::size_t v) { return static_cast<std::int64_t>(v); });
  return array;
}

inline label_array to_array(const std::vector<std::int64_t>& values) {
  return label_array(static_cast<pybind11::ssize_t>(values.size()), values.data());
}

/// Numbers of `what`; shape_error for a negative one, config_error unless there is one dimension.
inline indices from_array(const label_array& values, const char* what) {
  if (values.ndim() != 1)
    throw bit::shape_error(std::string("[data] expected ") + what + " of one dimension, got " +
                           std::to_string(values.ndim()));
  indices result(static_cast<std::size_t>(values.size()));
  for (pybind11::ssize_t i = 0; i < values.size(); ++i) {
    if (values.at(i) < 0)
      throw bit::shape_error(std::string("[data] expected ") + what + " of at least 0, got " +
                             std::to_string(values.at(i)) + " at position " + std::to_string(i));
    result[static_cast<std::size_t>(i)] = static_cast<std::size_t>(values.at(i));
  }
  return result;
}
