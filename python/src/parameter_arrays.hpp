// SPDX-License-Identifier: Apache-2.0
// Parameters in training as Python shows them, whatever memory they are in.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <bit/backend/trainable_parameters.hpp>

/// (official name, copy of the values or gradient in the official layout) of every parameter; needs the GIL. Throws
/// config_error for gradients if a parameter is frozen.
template <class T>
pybind11::list arrays_of(const bit::trainable_parameters<T>& parameters, bit::parameter_array what) {
  pybind11::list all;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const bit::tensor_spec& spec = parameters.specs()[i];
    pybind11::array_t<T> values(spec.shape);
    parameters.read(what, i, {values.mutable_data(), static_cast<std::size_t>(values.size())});
    all.append(pybind11::make_tuple(spec.name, values));
  }
  return all;
}
