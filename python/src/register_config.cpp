// SPDX-License-Identifier: Apache-2.0
// pybit._core.Config: the architecture description.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit/model/config.hpp>

#include "register.hpp"

namespace py = pybind11;

namespace {

py::tuple fields(const bit::resnet_config& c) {
  return py::make_tuple(py::tuple(py::cast(c.units)), c.stem_channels, c.in_channels, c.num_classes, c.output_stride,
                        c.groups, c.group_norm_eps, c.weight_eps);
}

bit::resnet_config make_config(const std::array<std::size_t, 4>& units, std::size_t stem_channels,
                               std::size_t in_channels, std::size_t num_classes, std::size_t output_stride,
                               std::size_t groups, double group_norm_eps, double weight_eps) {
  const bit::resnet_config config{.units = units,
                                  .stem_channels = stem_channels,
                                  .in_channels = in_channels,
                                  .num_classes = num_classes,
                                  .output_stride = output_stride,
                                  .groups = groups,
                                  .group_norm_eps = group_norm_eps,
                                  .weight_eps = weight_eps};
  bit::validate(config);
  return config;
}

std::string representation(const bit::resnet_config& c) {
  return py::str(
             "Config(units={}, stem_channels={}, in_channels={}, num_classes={}, output_stride={}, groups={}, "
             "group_norm_eps={}, weight_eps={})")
      .format(*fields(c));
}

}  // namespace

void register_config(py::module_& m) {
  const bit::resnet_config defaults;
  py::class_<bit::resnet_config>(m, "Config", "Architecture of a BiT ResNetV2. Immutable and hashable.")
      .def(py::init(&make_config), py::kw_only(), py::arg("units") = py::tuple(py::cast(defaults.units)),
           py::arg("stem_channels") = defaults.stem_channels, py::arg("in_channels") = defaults.in_channels,
           py::arg("num_classes") = defaults.num_classes, py::arg("output_stride") = defaults.output_stride,
           py::arg("groups") = defaults.groups, py::arg("group_norm_eps") = defaults.group_norm_eps,
           py::arg("weight_eps") = defaults.weight_eps,
           "units: residual units of the four blocks; stem_channels: 64 times the width factor; num_classes 0: no "
           "head. Raises ConfigError for numbers that make no network.")
      .def_static(
          "named", &bit::resnet_config::named, py::arg("name"),
          "The architecture \"R50x1\", \"R101x3\", ...: depth and width factor, 1000 classes. Raises ConfigError "
          "that lists the released architectures for any other name.")
      .def_property_readonly("units", [](const bit::resnet_config& c) { return py::tuple(py::cast(c.units)); })
      .def_readonly("stem_channels", &bit::resnet_config::stem_channels)
      .def_readonly("in_channels", &bit::resnet_config::in_channels)
      .def_readonly("num_classes", &bit::resnet_config::num_classes)
      .def_readonly("output_stride", &bit::resnet_config::output_stride)
      .def_readonly("groups", &bit::resnet_config::groups)
      .def_readonly("group_norm_eps", &bit::resnet_config::group_norm_eps)
      .def_readonly("weight_eps", &bit::resnet_config::weight_eps)
      .def_property_readonly("num_features", &bit::resnet_config::num_features, "Channels of the pooled features.")
      .def_property_readonly("architecture", &bit::architecture_name,
                             "The name that `named` takes, or units and stem in words.")
      .def(
          "replace",
          [](const py::object& self, const py::kwargs& changes) {
            py::dict all;
            for (const char* name : {"units", "stem_channels", "in_channels", "num_classes", "output_stride", "groups",
                                     "group_norm_eps", "weight_eps"})
              all[name] = self.attr(name);
            for (const auto& [name, value] : changes) all[name] = value;
            return py::type::of(self)(**all);
          },
          "The same with some fields changed, by keyword.")
      .def(
          "tensor_specs",
          [](const bit::resnet_config& c) {
            py::list specs;
            for (const auto& spec : bit::tensor_specs(c))
              specs.append(py::make_tuple(spec.name, py::tuple(py::cast(spec.shape))));
            return specs;
          },
          "Official name and shape of every parameter, in the order of execution.")
      .def(
          "__eq__", [](const bit::resnet_config& a, const bit::resnet_config& b) { return a == b; }, py::is_operator())
      .def(
          "__eq__", [](const bit::resnet_config&, const py::object&) { return false; }, py::is_operator())
      .def("__hash__", [](const bit::resnet_config& c) { return py::hash(fields(c)); })
      .def("__repr__", &representation)
      .def(py::pickle(&fields, [](const py::tuple& t) {
        return make_config(t[0].cast<std::array<std::size_t, 4>>(), t[1].cast<std::size_t>(), t[2].cast<std::size_t>(),
                           t[3].cast<std::size_t>(), t[4].cast<std::size_t>(), t[5].cast<std::size_t>(),
                           t[6].cast<double>(), t[7].cast<double>());
      }));
}
