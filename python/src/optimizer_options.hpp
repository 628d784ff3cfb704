// Optimizers from Python's keyword arguments, for every class that owns one.
#pragma once

#include <pybind11/pybind11.h>

#include <bit/program/backward.hpp>
#include <bit/train/optimizer.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "keywords.hpp"

/// An optimizer named "sgd", "adam" or "adamw". Keywords: momentum, nesterov (sgd); betas, eps (adam, adamw); for all
/// clip_norm, weight_decay, decay_vectors, layer_decay, train, freeze (lists of patterns) and groups (list of tuples
/// (pattern, rate scale, weight decay or None)). Throws config_error for another name or keyword, naming those there are.
/// T is float or double.
template <class T>
std::unique_ptr<bit::train::basic_optimizer<T>> make_optimizer(const std::string& name,
                                                               std::span<const bit::trainable_parameter<T>> parameters,
                                                               const pybind11::kwargs& how);

/// weight_decay, decay_vectors, layer_decay, train, freeze and groups.
void take_rules(keywords& from, bit::train::parameter_options& into);

/// "none", "units", or nothing for "auto". Throws config_error for other texts.
std::optional<bit::recomputation> recomputation_of(const std::string& room, const std::string& text);
