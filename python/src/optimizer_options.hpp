// SPDX-License-Identifier: Apache-2.0
// Optimizers from Python's keyword arguments, for every class that owns one.
#pragma once

#include <pybind11/pybind11.h>

#include <bit/program/backward.hpp>
#include <bit/train/adam.hpp>
#include <bit/train/sgd.hpp>
#include <memory>
#include <optional>
#include <string>

#include "keywords.hpp"

/// An optimizer's options: Adam's if there are any, otherwise SGD's.
struct optimizer_options {
  bit::train::sgd_options sgd;
  std::optional<bit::train::adam_options> adam;

  const bit::train::parameter_options& rules() const { return adam ? adam->parameters : sgd.parameters; }
  std::size_t state_buffers() const { return adam ? adam->state_buffers() : sgd.state_buffers(); }
};

/// The options of the optimizer named "sgd", "adam" or "adamw". Keywords: momentum, nesterov (sgd); betas, eps (adam,
/// adamw); for all clip_norm, weight_decay, decay_vectors, layer_decay, train, freeze (lists of patterns) and groups (list
/// of tuples (pattern, rate scale, weight decay or None)). Throws config_error for another name.
optimizer_options take_optimizer(keywords& from, const std::string& name);

/// The same from keywords that hold nothing else. Throws config_error for another keyword, naming those there are.
optimizer_options optimizer_options_of(const std::string& name, const pybind11::kwargs& how);

/// The optimizer; T is float or double.
template <class T>
std::unique_ptr<bit::train::basic_optimizer<T>> make_optimizer(bit::trainable_parameters<T>& parameters,
                                                               const optimizer_options& options) {
  if (options.adam) return std::make_unique<bit::train::basic_adam<T>>(parameters, *options.adam);
  return std::make_unique<bit::train::basic_sgd<T>>(parameters, options.sgd);
}

/// "none", "units", or nothing for "auto". Throws config_error for other texts.
std::optional<bit::recomputation> recomputation_of(const std::string& room, const std::string& text);
