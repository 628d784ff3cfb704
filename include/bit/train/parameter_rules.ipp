// SPDX-License-Identifier: Apache-2.0
// Bodies of train/parameter_rules.hpp.
#pragma once

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/train/parameter_rules.hpp>

namespace bit::inline BIT_ABI::detail {

inline bool fits(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

inline bool fits_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const auto& p) { return fits(p, name); });
}

/// A pattern that fits nothing is a slip that would train what should be frozen.
inline void check_pattern(const std::string& pattern, std::span<const tensor_spec> parameters) {
  if (std::any_of(parameters.begin(), parameters.end(), [&](const auto& p) { return fits(pattern, p.name); })) return;
  throw config_error("[optimizer] the pattern \"" + pattern + "\" fits none of " + std::to_string(parameters.size()) +
                     " parameters" +
                     (parameters.empty() ? ""
                                         : ", from " + parameters.front().name + " to " + parameters.back().name +
                                               "; \"*\" stands for any characters"));
}

inline void check_numbers(const train::parameter_options& options) {
  const auto refuse = [](const std::string& what, double got) {
    throw config_error("[optimizer] expected " + what + ", got " + std::to_string(got));
  };
  if (!is_non_negative(options.weight_decay)) refuse("a weight decay of 0 or more", options.weight_decay);
  if (!is_within(options.layer_decay, 0, 1) || options.layer_decay == 0)
    refuse("a layer decay above 0, at most 1", options.layer_decay);
  for (const auto& group : options.groups) {
    if (!is_non_negative(group.rate_scale)) refuse("a rate scale of 0 or more for " + group.pattern, group.rate_scale);
    if (!is_non_negative(group.weight_decay.value_or(0)))
      refuse("a weight decay of 0 or more for " + group.pattern, *group.weight_decay);
  }
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC std::vector<std::size_t> layer_numbers(std::span<const tensor_spec> parameters) {
  // "resnet/block1/unit01/..." sorts as the units run: block numbers have one digit, unit numbers two.
  const std::string before = "resnet/block";
  const auto unit_of = [&](const std::string& name) {
    return name.starts_with(before) ? name.substr(0, name.find('/', name.find('/', before.size()) + 1)) : "";
  };
  std::set<std::string> units;
  for (const auto& p : parameters)
    if (std::string unit = unit_of(p.name); !unit.empty()) units.insert(std::move(unit));
  std::vector<std::size_t> numbers;
  for (const auto& p : parameters) {
    const std::string unit = unit_of(p.name);
    if (!unit.empty()) {
      numbers.push_back(1 + static_cast<std::size_t>(std::distance(units.begin(), units.find(unit))));
    } else if (p.name.starts_with("resnet/root_block/")) {
      numbers.push_back(0);
    } else {
      numbers.push_back(units.size() + (p.name.starts_with("resnet/group_norm/") ? 0 : 1));
    }
  }
  return numbers;
}

BIT_FUNC std::vector<parameter_rule> resolve(std::span<const tensor_spec> parameters,
                                             const parameter_options& options) {
  detail::check_numbers(options);
  for (const auto& pattern : options.train) detail::check_pattern(pattern, parameters);
  for (const auto& pattern : options.freeze) detail::check_pattern(pattern, parameters);
  for (const auto& group : options.groups) detail::check_pattern(group.pattern, parameters);
  const auto layers = layer_numbers(parameters);
  const std::size_t top = layers.empty() ? 0 : *std::max_element(layers.begin(), layers.end());
  std::vector<parameter_rule> rules;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& p = parameters[i];
    parameter_rule rule;
    rule.frozen = detail::fits_any(options.freeze, p.name) ||
                  (!options.train.empty() && !detail::fits_any(options.train, p.name));
    rule.rate_scale = std::pow(options.layer_decay, static_cast<double>(top - layers[i]));
    rule.weight_decay = p.shape.size() <= 1 && !options.decay_vectors ? 0 : options.weight_decay;
    const auto group = std::find_if(options.groups.begin(), options.groups.end(),
                                    [&](const auto& g) { return detail::fits(g.pattern, p.name); });
    if (group != options.groups.end()) {
      rule.rate_scale *= group->rate_scale;
      rule.weight_decay = group->weight_decay.value_or(rule.weight_decay);
    }
    rules.push_back(rule);
  }
  if (std::all_of(rules.begin(), rules.end(), [](const auto& r) { return r.frozen; }))
    throw config_error("[optimizer] all " + std::to_string(parameters.size()) +
                       " parameters are frozen: nothing would learn; leave some out of `freeze`");
  return rules;
}

BIT_FUNC std::set<std::string> frozen_names(std::span<const tensor_spec> parameters, const parameter_options& options) {
  std::set<std::string> frozen;
  const auto rules = resolve(parameters, options);
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (rules[i].frozen) frozen.insert(parameters[i].name);
  return frozen;
}

}  // namespace bit::inline BIT_ABI::train
