// SPDX-License-Identifier: Apache-2.0
// Networks in training by the dtype that Python names: the library's table (train/trainable_backends.hpp) for those that
// learn in float32, the reference backend for float64.
#pragma once

#include <bit/reference.hpp>
#include <bit/train/trainable_backends.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "choose.hpp"

/// The dtype of a network whose parameters are float32; config_error for other texts.
inline bit::dtype training_dtype(const std::string& room, const std::string& text) {
  return choose<bit::dtype>(room, "dtype", text,
                            {{"float32", bit::dtype::float32}, {"bfloat16", bit::dtype::bfloat16}});
}

/// Calls use(T{}) with the type of parameters, float or double, that networks of this dtype have.
template <class Use>
auto with_parameter_type(const std::string& dtype, const Use& use) {
  return dtype == "float64" ? use(double{}) : use(float{});
}

/// A network in training under the backend for `dtype`.
template <class T>
bit::train::basic_tunable_model<T> tunable_of(const std::string& dtype, const bit::resnet_config& config,
                                              const std::vector<bit::named_tensor>& tensors) {
  if constexpr (std::is_same_v<T, double>)
    return bit::train::basic_tunable_model<double>::of<bit::reference<double>>(config, tensors, bit::dtype::float64);
  else
    return bit::train::make_tunable(config, tensors, training_dtype("trainer", dtype));
}

/// What a step would take under the backend for `dtype`.
inline bit::training_memory tunable_memory(const std::string& dtype, const bit::resnet_config& config,
                                           const bit::dims4& images, const bit::training_options& options,
                                           std::size_t threads) {
  if (dtype == "float64")
    return bit::trainable_resnet_v2<bit::reference<double>>::memory_of(config, images, options, threads);
  return bit::train::tunable_memory_of(training_dtype("memory_plan", dtype), config, images, options, threads);
}
