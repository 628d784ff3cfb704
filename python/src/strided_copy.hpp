// SPDX-License-Identifier: Apache-2.0
// Arrays of up to four axes copied from any strides to any others, as kernels go between layouts.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <array>
#include <bit/error.hpp>
#include <cstddef>
#include <string>
#include <vector>

/// An array's memory with four axes, the missing ones of size 1 in front; strides in elements.
template <class T>
struct strided {
  T* data = nullptr;
  std::array<std::size_t, 4> shape{1, 1, 1, 1};
  std::array<std::ptrdiff_t, 4> stride{0, 0, 0, 0};
};

/// A view of `array`, which must have the dtype and the shape. Throws shape_error, with `name` in its text, otherwise.
template <class T>
strided<T> strided_view(const pybind11::array& array, const std::vector<std::size_t>& shape, const std::string& name) {
  namespace py = pybind11;
  bool fits = py::isinstance<py::array_t<std::remove_const_t<T>>>(array) &&
              static_cast<std::size_t>(array.ndim()) == shape.size() && shape.size() <= 4;
  for (std::size_t i = 0; i < shape.size() && fits; ++i)
    fits = static_cast<std::size_t>(array.shape(static_cast<py::ssize_t>(i))) == shape[i] &&
           array.strides(static_cast<py::ssize_t>(i)) % static_cast<py::ssize_t>(sizeof(T)) == 0;
  if (!fits) throw bit::shape_error("[recorder] " + name + ": expected an array of the parameter's shape and dtype");
  strided<T> view;
  if constexpr (std::is_const_v<T>)
    view.data = static_cast<T*>(array.data());
  else
    view.data = static_cast<T*>(const_cast<py::array&>(array).mutable_data());
  const std::size_t before = 4 - shape.size();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    view.shape[before + i] = shape[i];
    view.stride[before + i] = array.strides(static_cast<py::ssize_t>(i)) / static_cast<py::ssize_t>(sizeof(T));
  }
  return view;
}

/// The view of row-major memory of this shape.
template <class T>
strided<T> row_major(T* data, const std::vector<std::size_t>& shape) {
  strided<T> view;
  view.data = data;
  std::ptrdiff_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    view.shape[4 - shape.size() + i] = shape[i];
    view.stride[4 - shape.size() + i] = step;
    step *= static_cast<std::ptrdiff_t>(shape[i]);
  }
  return view;
}

/// Copies part `part` of `parts` of an array. The last two axes, input and output channels of a kernel, are cut into
/// squares of 32: both sides of a transposition stay in the L1 cache.
template <class T>
void copy_part(const strided<const T>& from, const strided<T>& to, std::size_t part, std::size_t parts) {
  constexpr std::size_t side = 32;
  const auto& [n0, n1, n2, n3] = from.shape;
  const auto at = [](const auto& view, std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
    const std::size_t index[] = {a, b, c, d};
    std::ptrdiff_t offset = 0;
    for (std::size_t i = 0; i < 4; ++i) offset += static_cast<std::ptrdiff_t>(index[i]) * view.stride[i];
    return view.data + offset;
  };
  for (std::size_t c0 = n2 * part / parts; c0 < n2 * (part + 1) / parts; c0 += side)
    for (std::size_t d0 = 0; d0 < n3; d0 += side)
      for (std::size_t a = 0; a < n0; ++a)
        for (std::size_t b = 0; b < n1; ++b)
          for (std::size_t c = c0; c < std::min(c0 + side, n2 * (part + 1) / parts); ++c) {
            const T* x = at(from, a, b, c, d0);
            T* y = at(to, a, b, c, d0);
            for (std::size_t d = d0; d < std::min(d0 + side, n3); ++d, x += from.stride[3], y += to.stride[3]) *y = *x;
          }
}
