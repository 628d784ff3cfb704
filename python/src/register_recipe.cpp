// SPDX-License-Identifier: Apache-2.0
// BiT-HyperRule and the choice of few examples.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit/train/few_shot.hpp>
#include <bit/train/hyper_rule.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "labels.hpp"
#include "register.hpp"

namespace py = pybind11;
namespace train = bit::train;

namespace {

/// The rule with what is not None put in its place.
train::hyper_rule replaced(train::hyper_rule rule, const std::optional<indices>& schedule,
                           const std::optional<std::pair<std::size_t, std::size_t>>& resolution,
                           const std::optional<double>& mixup_alpha, const std::optional<double>& base_lr) {
  if (schedule) rule.schedule = *schedule;
  if (resolution) rule.resolution = {resolution->first, resolution->second};
  if (mixup_alpha) rule.mixup_alpha = *mixup_alpha;
  if (base_lr) rule.base_lr = *base_lr;
  train::validate(rule);
  return rule;
}

void register_hyper_rule(py::module_& m) {
  using rule = train::hyper_rule;
  py::class_<rule>(m, "HyperRule")
      .def(py::init([](std::size_t n, std::size_t height, std::size_t width, double base_lr) {
             return train::make_hyper_rule(n, {height, width}, base_lr);
           }),
           py::arg("num_examples"), py::arg("height"), py::arg("width"), py::arg("base_lr") = train::hyper_rule_base_lr)
      .def_readonly("num_examples", &rule::num_examples)
      .def_property_readonly("image_size", [](const rule& r) { return std::pair(r.images.height, r.images.width); })
      .def_property_readonly("resolution",
                             [](const rule& r) { return std::pair(r.resolution.resize, r.resolution.crop); })
      .def_readonly("mixup_alpha", &rule::mixup_alpha)
      .def_readonly("schedule", &rule::schedule)
      .def_readonly("base_lr", &rule::base_lr)
      .def_property_readonly("steps", &rule::steps)
      .def("lr", &rule::lr, py::arg("step"))
      .def("replace", &replaced, py::kw_only(), py::arg("schedule") = py::none(), py::arg("resolution") = py::none(),
           py::arg("mixup_alpha") = py::none(), py::arg("base_lr") = py::none())
      .def("__repr__", [](const rule& r) { return train::to_string(r); });
  m.def(
      "known_image_size",
      [](const std::string& name) -> std::optional<std::pair<std::size_t, std::size_t>> {
        const auto size = train::known_image_size(name);
        if (!size) return std::nullopt;
        return std::pair(size->height, size->width);
      },
      py::arg("data_set"));
}

void register_few_shot(py::module_& m) {
  m.def(
      "few_shot",
      [](const label_array& labels, const std::vector<std::string>& classes, std::size_t per_class, std::uint64_t seed,
         bool last_seen) {
        const auto choose_examples = last_seen ? train::few_shot_last_seen : train::few_shot;
        return to_array(choose_examples(from_array(labels, "labels"), classes, per_class, seed));
      },
      py::arg("labels"), py::arg("classes"), py::arg("per_class"), py::arg("seed"), py::arg("last_seen"));
}

}  // namespace

void register_recipe(py::module_& m) {
  register_hyper_rule(m);
  register_few_shot(m);
}
