// SPDX-License-Identifier: Apache-2.0
// The files that tests/golden/prepare.py has written for the case that runs.
#pragma once

#include <doctest/doctest.h>
#include <bit/io/npz.hpp>
#include <bit/tensor.hpp>
#include <cstdlib>

namespace golden {

inline std::filesystem::path folder() {
  const char* path = std::getenv("BIT_GOLDEN_FOLDER");
  REQUIRE_MESSAGE(path, "set BIT_GOLDEN_FOLDER to what tests/golden/prepare.py wrote, or run ctest");
  return path;
}

/// Calls use(tensor) with the named array of expected.npz.
template <class Use>
void with_array(const std::string& name, Use use) {
  const auto file =
      std::make_shared<const bit::detail::input_file>(folder() / "expected.npz", bit::io::read_mode::copy);
  for (const auto& tensor : bit::detail::read_npz(file))
    if (tensor.name == name) return use(tensor);
  FAIL("no array " << name);
}

template <class T>
std::vector<T> read_array(const std::string& name) {
  std::vector<T> values;
  with_array(name, [&](const auto& tensor) {
    std::size_t size = 1;
    for (std::size_t d : tensor.shape) size *= d;
    values.resize(size);
    tensor.data->read(std::as_writable_bytes(std::span(values)));
  });
  return values;
}

template <class T>
bit::tensor4<T> images() {
  std::array<std::size_t, 4> shape{};
  with_array("images", [&](const auto& tensor) { std::copy_n(tensor.shape.begin(), 4, shape.begin()); });
  const auto values = read_array<float>("images");
  auto x = bit::tensor4<T>::from_shape(shape);
  std::copy(values.begin(), values.end(), x.begin());
  return x;
}

}  // namespace golden
