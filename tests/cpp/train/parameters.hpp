// SPDX-License-Identifier: Apache-2.0
// What the tests of train/ share: parameters with values and gradients of their own.
#pragma once

#include <doctest/doctest.h>
#include <bit/backend/cpu/parameters.hpp>
#include <memory>
#include <random>
#include <string>
#include <vector>

/// Values in memory as a tensor.
class vector_values final : public bit::tensor_data {
 public:
  explicit vector_values(std::vector<float> values) : values_(std::move(values)) {}
  void read(std::span<float> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }
  void read(std::span<double> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }

 private:
  std::vector<float> values_;
};

/// Parameters without a network: added one by one, then given to an optimizer by get().
class parameter_set {
 public:
  using type = bit::detail::host_parameters<float>;

  std::size_t add(const std::string& name, std::vector<std::size_t> shape, std::vector<float> value = {},
                  std::vector<float> gradient = {}) {
    REQUIRE(!made_);
    bit::named_tensor tensor{name, std::move(shape), nullptr};
    std::size_t size = 1;
    for (const std::size_t d : tensor.shape) size *= d;
    value.resize(size);
    gradient.resize(size);
    tensor.data = std::make_shared<vector_values>(std::move(value));
    tensors_.push_back(std::move(tensor));
    first_gradients_.push_back(std::move(gradient));
    return tensors_.size() - 1;
  }
  /// The parameters; nothing can be added after the first call.
  type& get() {
    if (!made_) {
      made_ = std::make_shared<type>(std::span<const bit::named_tensor>(tensors_));
      for (std::size_t i = 0; i < tensors_.size(); ++i) gradient(i, first_gradients_[i]);
    }
    return *made_;
  }

  std::vector<float> value(std::size_t i) { return get().values(i); }
  void value(std::size_t i, const std::vector<float>& to) { get().write(bit::parameter_array::values, i, to); }
  void gradient(std::size_t i, const std::vector<float>& to) { get().write(bit::parameter_array::gradients, i, to); }
  std::vector<std::vector<float>> values() {
    std::vector<std::vector<float>> all;
    for (std::size_t i = 0; i < tensors_.size(); ++i) all.push_back(value(i));
    return all;
  }
  void values(const std::vector<std::vector<float>>& to) {
    for (std::size_t i = 0; i < to.size(); ++i) value(i, to[i]);
  }
  /// Values and gradients from a seed, in [-1,1).
  void randomise(unsigned seed) {
    std::mt19937 random(seed);
    for (const auto what : {bit::parameter_array::values, bit::parameter_array::gradients})
      for (std::size_t i = 0; i < get().size(); ++i) {
        std::vector<float> drawn(get().specs()[i].size());
        for (float& v : drawn) v = static_cast<float>(random()) * 0x1p-31f - 1;
        get().write(what, i, drawn);
      }
  }

 private:
  std::vector<bit::named_tensor> tensors_;
  std::vector<std::vector<float>> first_gradients_;
  std::shared_ptr<type> made_;
};
