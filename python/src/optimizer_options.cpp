#include "optimizer_options.hpp"

#include <pybind11/stl.h>

#include <bit/error.hpp>
#include <bit/train/adam.hpp>
#include <bit/train/sgd.hpp>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "choose.hpp"

namespace py = pybind11;
namespace train = bit::train;

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

std::optional<bit::recomputation> recomputation_of(const std::string& room, const std::string& text) {
  return choose<std::optional<bit::recomputation>>(
      room, "recompute", text,
      {{"auto", std::nullopt}, {"none", bit::recomputation::none}, {"units", bit::recomputation::units}});
}

template <class T>
std::unique_ptr<train::basic_optimizer<T>> make_optimizer(const std::string& name,
                                                          std::span<const bit::trainable_parameter<T>> parameters,
                                                          const py::kwargs& how) {
  keywords given(name, how);
  if (name == "sgd") {
    train::sgd_options options;
    given.take("momentum", options.momentum);
    given.take("nesterov", options.nesterov);
    given.take("clip_norm", options.clip_norm);
    take_rules(given, options.parameters);
    given.finish();
    return std::make_unique<train::basic_sgd<T>>(parameters, options);
  }
  if (name != "adam" && name != "adamw")
    throw bit::config_error("[optimizer] expected \"sgd\", \"adam\" or \"adamw\", got \"" + name + "\"");
  train::adam_options options;
  options.decoupled = name == "adamw";
  std::pair<double, double> betas{options.beta1, options.beta2};
  given.take("betas", betas);
  std::tie(options.beta1, options.beta2) = betas;
  given.take("eps", options.eps);
  given.take("clip_norm", options.clip_norm);
  take_rules(given, options.parameters);
  given.finish();
  return std::make_unique<train::basic_adam<T>>(parameters, options);
}

template std::unique_ptr<train::basic_optimizer<float>> make_optimizer(const std::string&,
                                                                       std::span<const bit::trainable_parameter<float>>,
                                                                       const py::kwargs&);
template std::unique_ptr<train::basic_optimizer<double>> make_optimizer(
    const std::string&, std::span<const bit::trainable_parameter<double>>, const py::kwargs&);
