// SPDX-License-Identifier: Apache-2.0
// What a network costs, from its description alone.
#include <pybind11/pybind11.h>

#include <bit/model/network.hpp>
#include <bit/model/random.hpp>
#include <bit/program/memory_plan.hpp>
#include <bit/program/summary.hpp>

#include "register.hpp"

namespace py = pybind11;

std::string last_output(const bit::resnet_config& config) { return config.num_classes > 0 ? "logits" : "pooled"; }

namespace {

py::tuple shape_of(const bit::dims4& d) { return py::make_tuple(d.n, d.c, d.h, d.w); }

}  // namespace

py::list summary_of(const bit::network& net, std::size_t n, std::size_t h, std::size_t w, std::size_t item_size) {
  const std::string output = last_output(net.config());
  py::list rows;
  for (const bit::step_summary& s : bit::summarise(net.emit({n, net.config().in_channels, h, w}, {&output, 1}))) {
    py::list inputs;
    for (const bit::dims4& d : s.inputs) inputs.append(shape_of(d));
    py::dict row;
    row["name"] = s.name;
    row["kind"] = s.kind;
    row["inputs"] = inputs;
    row["output"] = shape_of(s.output);
    row["parameters"] = s.parameters;
    row["macs"] = s.macs;
    row["bytes"] = s.output_elements * item_size;
    rows.append(row);
  }
  return rows;
}

py::list rows_of(const std::vector<bit::step_profile>& report) {
  py::list rows;
  for (const bit::step_profile& r : report) {
    py::dict row;
    row["name"] = r.step.name;
    row["kind"] = r.step.kind;
    row["algorithm"] = std::string(r.algorithm);
    row["output"] = shape_of(r.step.output);
    row["flops"] = 2 * r.step.macs;
    row["weight_bytes"] = r.weight_bytes;
    row["read_bytes"] = r.read_bytes;
    row["written_bytes"] = r.written_bytes;
    if (r.min_seconds > 0) {
      row["min_seconds"] = r.min_seconds;
      row["median_seconds"] = r.median_seconds;
    }
    rows.append(row);
  }
  return rows;
}

namespace {

/// What a network costs in float32, from its description alone: no parameter is made.
py::dict estimate(const bit::resnet_config& config, std::size_t n, std::size_t h, std::size_t w) {
  const bit::network net(config, bit::random_tensors(config, 0));
  const std::string output = last_output(config);
  const bit::program p = net.emit({n, config.in_channels, h, w}, {&output, 1});
  std::vector<std::size_t> bytes;
  for (const bit::value& v : p.values)
    bytes.push_back(v.kind == bit::value_kind::feature_map || v.kind == bit::value_kind::matrix
                        ? v.dims.size() * sizeof(float)
                        : 0);
  py::dict result;
  result["steps"] = summary_of(net, n, h, w, sizeof(float));
  result["arena_bytes"] = bit::plan_memory(p, bytes).total;
  std::size_t weights = 0;
  for (const bit::step_summary& s : bit::summarise(p)) weights += s.parameters * sizeof(float);
  result["weights_bytes"] = weights;
  return result;
}

}  // namespace

void register_summary(py::module_& m) {
  m.def("estimate", &estimate, py::arg("config"), py::arg("n"), py::arg("h"), py::arg("w"),
        "Steps, arena_bytes and weights_bytes of a network in float32, without making its parameters.");
}
