// SPDX-License-Identifier: Apache-2.0
// Which parameters learn, how fast, and with how much weight decay: chosen by patterns over their names.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <bit/backend/hyperparameters.hpp>
#include <bit/config.hpp>
#include <bit/program/tensor_spec.hpp>

namespace bit::inline BIT_ABI::train {

/// Patterns are those of fnmatch(3) over a whole official name: `*` any characters, slashes too, `?` one, `[12]` a set.
/// "resnet/head/*" is the head, "*/group_norm/*" every norm, "resnet/block[12]/*" the first two blocks.
struct group_rule {
  std::string pattern;
  double rate_scale = 1;  ///< multiplies the learning rate
  std::optional<double> weight_decay = std::nullopt;
};

/// BiT-HyperRule is the default: all parameters learn at one rate, "no weight-decay" (bit_pytorch/train.py).
struct parameter_options {
  std::vector<std::string> train = {};  ///< if any are given, only parameters that fit one of them learn
  std::vector<std::string> freeze = {};
  std::vector<group_rule> groups = {};  ///< the first that fits counts
  double weight_decay = 0;
  bool decay_vectors = true;  ///< false: norms and biases, which have one dimension, are not decayed (as timm has it)
  double layer_decay = 1;     ///< rate × layer_decay^(layers above); timm's param_groups_layer_decay
};

/// One rule per parameter. Throws config_error for a pattern that fits no parameter, for numbers below zero, a
/// layer_decay outside (0,1], and if nothing is left to learn.
BIT_FUNC std::vector<parameter_rule> resolve(std::span<const tensor_spec> parameters, const parameter_options& options);

/// Official names of the parameters that do not learn, as training_options::frozen wants them. Throws as resolve().
BIT_FUNC std::set<std::string> frozen_names(std::span<const tensor_spec> parameters, const parameter_options& options);

/// timm's numbering for layer decay (ResNetV2.group_matcher): the stem 0, the units from 1 on, the last norm with the
/// last unit, the head and what is no BiT parameter above all.
BIT_FUNC std::vector<std::size_t> layer_numbers(std::span<const tensor_spec> parameters);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/parameter_rules.ipp>
#endif
