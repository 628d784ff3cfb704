// SPDX-License-Identifier: Apache-2.0
// Parameters in training as tensors whose values are what they are when they are read.
#pragma once

#include <algorithm>
#include <bit/backend/trainable_parameters.hpp>
#include <bit/program/parameter.hpp>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// A parameter's present values, wherever they are.
template <class T>
class present_values final : public tensor_data {
 public:
  present_values(std::shared_ptr<const trainable_parameters<T>> parameters, std::size_t number)
      : parameters_(std::move(parameters)), number_(number) {}
  void read(std::span<float> out) const override { copy_to(out); }
  void read(std::span<double> out) const override { copy_to(out); }
  std::span<const std::byte> bytes() const override {
    if constexpr (std::is_same_v<T, float>) return std::as_bytes(parameters_->in_host_memory(number_));
    return {};
  }

 private:
  template <class Out>
  void copy_to(std::span<Out> out) const {
    std::span<const T> values = parameters_->in_host_memory(number_);
    std::vector<T> copy;
    if (values.empty()) values = copy = parameters_->values(number_);
    std::transform(values.begin(), values.end(), out.begin(), [](T v) { return static_cast<Out>(v); });
  }
  std::shared_ptr<const trainable_parameters<T>> parameters_;
  std::size_t number_;
};

/// A tensor for each of `given` whose values are the parameters' present ones; it keeps them alive.
template <class T>
std::vector<named_tensor> present_tensors(const std::vector<named_tensor>& given,
                                          const std::shared_ptr<const trainable_parameters<T>>& parameters) {
  std::vector<named_tensor> present;
  for (std::size_t i = 0; i < given.size(); ++i)
    present.push_back({given[i].name, given[i].shape, std::make_shared<present_values<T>>(parameters, i)});
  return present;
}

}  // namespace bit::inline BIT_ABI::detail
