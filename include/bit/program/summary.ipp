// SPDX-License-Identifier: Apache-2.0
// Bodies of program/summary.hpp.
#pragma once

#include <bit/program/summary.hpp>
#include <set>

namespace bit::inline BIT_ABI {
namespace detail {

inline std::size_t product_of(const std::vector<std::size_t>& shape) {
  std::size_t size = 1;
  for (std::size_t d : shape) size *= d;
  return size;
}

/// Writes what is particular to each kind of step.
struct step_describer {
  const program& p;
  step_summary& row;

  void made(value_id y, std::string kind) const {
    row.name = p[y].name;
    row.kind = std::move(kind);
    row.output = p[y].dims;
  }
  /// Every output pixel sums over the whole kernel.
  std::size_t macs(parameter_id kernel, const dims4& out) const {
    return product_of(p[kernel].shape) * out.n * out.h * out.w;
  }
  static std::string window_text(const window& w) {
    const std::string size = std::to_string(w.size);
    return size + "x" + size + (w.stride > 1 ? " /" + std::to_string(w.stride) : "") +
           (w.dilation > 1 ? " dilated " + std::to_string(w.dilation) : "");
  }

  void operator()(const stem_step& s) const {
    made(s.y, "stem");
    const dims4& image = p[s.image].dims;
    row.macs = macs(s.kernel, {image.n, 0, s.window.out(image.h), s.window.out(image.w)});
  }
  void operator()(const conv_step& s) const {
    made(s.y, "conv " + window_text(s.main.window) +
                  (s.projection ? " + projection"
                   : s.residual ? " + residual"
                                : ""));
    row.macs = macs(s.main.kernel, row.output) + (s.projection ? macs(s.projection->kernel, row.output) : 0);
  }
  void operator()(const pool_step& s) const { made(s.pooled, "pool"); }
  void operator()(const mean_step& s) const { made(s.y, "mean"); }
  void operator()(const head_step& s) const {
    made(s.y, "head");
    row.macs = macs(s.kernel, row.output);
  }
};

}  // namespace detail

BIT_FUNC std::vector<step_summary> summarise(const program& p) {
  std::vector<step_summary> rows;
  std::set<std::string> counted;  // a unit's first norm is read by its first convolution and by its projection
  for (const step& s : p.steps) {
    step_summary row;
    std::visit(detail::step_describer{p, row}, s);
    const step_values values = values_of(s);
    for (value_id id : values.reads)
      if (p[id].kind != value_kind::statistics) row.inputs.push_back(p[id].dims);
    for (value_id id : values.writes)
      if (p[id].kind != value_kind::statistics) row.output_elements += p[id].dims.size();
    for (parameter_id id : values.parameters)
      if (counted.insert(p[id].name).second) row.parameters += detail::product_of(p[id].shape);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace bit::inline BIT_ABI
