// Bodies of program/program.hpp.
#pragma once

#include <bit/program/program.hpp>

namespace bit::inline v0 {
namespace detail {

struct value_lister {
  step_values& out;

  void optional_write(const std::optional<value_id>& id) const {
    if (id) out.writes.push_back(*id);
  }
  void norm(const norm_relu& n) const {
    out.reads.push_back(n.statistics);
    out.parameters.insert(out.parameters.end(), {n.gamma, n.beta});
  }
  void source(const conv_source& s) const {
    out.reads.push_back(s.x);
    out.parameters.push_back(s.kernel);
    norm(s.input);
  }

  void operator()(const stem_step& s) const {
    out.reads.push_back(s.image);
    out.parameters.push_back(s.kernel);
    optional_write(s.unpooled);
    out.writes.push_back(s.y);
    optional_write(s.statistics);
  }
  void operator()(const conv_step& s) const {
    source(s.main);
    if (s.projection) source(*s.projection);
    if (s.residual) {
      out.reads.push_back(*s.residual);
      // What the products read too must last until the last of them: other threads may be behind.
      if (*s.residual != s.main.x && (!s.projection || *s.residual != s.projection->x))
        out.in_place = {*s.residual, s.y};
    }
    out.writes.push_back(s.y);
    optional_write(s.statistics);
  }
  void operator()(const pool_step& s) const {
    out.reads.push_back(s.x);
    norm(s.input);
    optional_write(s.features);
    out.writes.push_back(s.pooled);
  }
  void operator()(const mean_step& s) const {
    out.reads.push_back(s.image);
    out.writes.push_back(s.y);
  }
  void operator()(const head_step& s) const {
    out.reads.push_back(s.x);
    out.parameters.insert(out.parameters.end(), {s.kernel, s.bias});
    out.writes.push_back(s.y);
  }
};

}  // namespace detail

BIT_FUNC step_values values_of(const step& s) {
  step_values out;
  std::visit(detail::value_lister{out}, s);
  return out;
}

}  // namespace bit::inline v0
