// SPDX-License-Identifier: Apache-2.0
// What each backward step touches. Included by backward.ipp.
#pragma once

#include <bit/program/program.hpp>
#include <initializer_list>

namespace bit::inline BIT_ABI::detail {

/// Lists it into `out`.
struct backward_lister {
  step_values& out;

  void reads(std::initializer_list<value_id> ids) const {
    for (const value_id id : ids) out.reads.push_back(id);
  }
  void norm(const norm_relu& n) const {
    out.reads.push_back(n.statistics);
    for (const parameter_id id : {n.gamma, n.beta}) out.parameters.push_back(id);
  }
  void source(const backward_source& s) const {
    out.reads.push_back(s.dy);
    out.parameters.push_back(s.kernel);
  }

  void operator()(const backward_data_step& s) const {
    source(s.main);
    if (s.projection) source(*s.projection);
    out.writes.push_back(s.dx);
  }
  void operator()(const backward_weights_step& s) const {
    reads({s.source.x, s.dy});
    out.parameters.push_back(s.source.kernel);
    norm(s.source.input);
  }
  void operator()(const norm_backward_step& s) const {
    reads({s.x, s.dy});
    norm(s.norm);
    if (s.passed) out.reads.push_back(*s.passed);
    if (!s.dx) return;
    out.writes.push_back(*s.dx);
    out.in_place = {s.dy, *s.dx};
  }
  void operator()(const mean_backward_step& s) const {
    out.reads.push_back(s.dy);
    out.writes.push_back(s.dx);
  }
  void operator()(const head_backward_step& s) const {
    reads({s.x, s.dy});
    for (const parameter_id id : {s.kernel, s.bias}) out.parameters.push_back(id);
    if (s.dx) out.writes.push_back(*s.dx);
  }
  void operator()(const stem_backward_step& s) const {
    reads({s.image, s.unpooled, s.dy});
    out.parameters.push_back(s.kernel);
    out.writes.push_back(s.dunpooled);
  }
  void operator()(const gradient_tap_step& s) const { out.reads.push_back(s.gradient); }
  void operator()(const output_gradient_step& s) const {
    if (s.adds) out.reads.push_back(s.gradient);
    out.writes.push_back(s.gradient);
  }
  void operator()(const recomputed_step& s) const { out = values_of(s.forward); }
};

}  // namespace bit::inline BIT_ABI::detail
