// SPDX-License-Identifier: Apache-2.0
#include "optimizer_options.hpp"

#include <pybind11/stl.h>

#include <bit/error.hpp>
#include <tuple>
#include <utility>
#include <vector>

#include "choose.hpp"

namespace py = pybind11;
namespace train = bit::train;

namespace {

void take_rules(keywords& from, train::parameter_options& into) {
  std::vector<std::tuple<std::string, double, std::optional<double>>> groups;
  from.take("weight_decay", into.weight_decay);
  from.take("decay_vectors", into.decay_vectors);
  from.take("layer_decay", into.layer_decay);
  from.take("train", into.train);
  from.take("freeze", into.freeze);
  from.take("groups", groups);
  for (auto& [pattern, scale, decay] : groups) into.groups.push_back({std::move(pattern), scale, decay});
}

}  // namespace

optimizer_options take_optimizer(keywords& from, const std::string& name) {
  optimizer_options options;
  if (name == "sgd") {
    from.take("momentum", options.sgd.momentum);
    from.take("nesterov", options.sgd.nesterov);
    from.take("clip_norm", options.sgd.clip_norm);
    take_rules(from, options.sgd.parameters);
    return options;
  }
  if (name != "adam" && name != "adamw")
    throw bit::config_error("[optimizer] expected \"sgd\", \"adam\" or \"adamw\", got \"" + name + "\"");
  auto& adam = options.adam.emplace();
  adam.decoupled = name == "adamw";
  std::pair<double, double> betas{adam.beta1, adam.beta2};
  from.take("betas", betas);
  std::tie(adam.beta1, adam.beta2) = betas;
  from.take("eps", adam.eps);
  from.take("clip_norm", adam.clip_norm);
  take_rules(from, adam.parameters);
  return options;
}

optimizer_options optimizer_options_of(const std::string& name, const py::kwargs& how) {
  keywords given(name, how);
  const auto options = take_optimizer(given, name);
  given.finish();
  return options;
}

std::optional<bit::recomputation> recomputation_of(const std::string& room, const std::string& text) {
  return choose<std::optional<bit::recomputation>>(
      room, "recompute", text,
      {{"auto", std::nullopt}, {"none", bit::recomputation::none}, {"units", bit::recomputation::units}});
}
