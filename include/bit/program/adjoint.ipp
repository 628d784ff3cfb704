// Bodies of program/adjoint.hpp.
#pragma once

#include <bit/error.hpp>
#include <bit/program/adjoint.hpp>
#include <initializer_list>
#include <map>
#include <utility>

namespace bit::inline v0 {
namespace detail {

struct adjoint_lister {
  step_values& out;

  void reads(std::initializer_list<value_id> ids) const {
    for (const value_id id : ids) out.reads.push_back(id);
  }
  void norm(const norm_relu& n) const {
    out.reads.push_back(n.statistics);
    for (const constant_id id : {n.gamma, n.beta}) out.constants.push_back(id);
  }
  void source(const adjoint_source& s) const {
    out.reads.push_back(s.dy);
    out.constants.push_back(s.kernel);
  }

  void operator()(const input_adjoint_step& s) const {
    source(s.main);
    if (s.projection) source(*s.projection);
    out.writes.push_back(s.dx);
  }
  void operator()(const kernel_adjoint_step& s) const {
    reads({s.source.x, s.dy});
    out.constants.push_back(s.source.kernel);
    norm(s.source.input);
  }
  void operator()(const norm_adjoint_step& s) const {
    reads({s.x, s.dy});
    norm(s.norm);
    if (s.passed) out.reads.push_back(*s.passed);
    out.writes.push_back(s.dx);
    out.in_place = {s.dy, s.dx};
  }
  void operator()(const mean_adjoint_step& s) const {
    out.reads.push_back(s.dy);
    out.writes.push_back(s.dx);
  }
  void operator()(const head_adjoint_step& s) const {
    reads({s.x, s.dy});
    for (const constant_id id : {s.kernel, s.bias}) out.constants.push_back(id);
    out.writes.push_back(s.dx);
  }
  void operator()(const stem_adjoint_step& s) const {
    reads({s.image, s.unpooled, s.dy});
    out.constants.push_back(s.kernel);
    out.writes.push_back(s.dunpooled);
  }
};

/// Walks the forward steps from the last to the first. What readers of a map have left for its gradient waits until the
/// step that writes the map is reached: then all of them have been there.
class adjoint_builder {
 public:
  explicit adjoint_builder(program& p, std::vector<adjoint_step>& steps) : p_(p), steps_(steps) {}

  /// The gradient of a value that is complete from the start.
  value_id begin(value_id y) {
    const value_id dy = add_gradient(y);
    waiting_[y].table = dy;
    return dy;
  }

  void operator()(const head_step& s) {
    const value_id dx = add_gradient(s.x);
    steps_.push_back(head_adjoint_step{s.x, s.kernel, s.bias, waiting_.at(s.y).table.value(), dx});
    waiting_[s.x].table = dx;
  }
  void operator()(const pool_step& s) {
    contributions& c = waiting_[s.x];
    c.norm = s.input;
    c.table = waiting_.at(s.pooled).table;
  }
  void operator()(const conv_step& s) {
    const value_id dy = gradient(s.y);
    source(s.main, dy);
    if (s.projection) source(*s.projection, dy);
    if (s.residual && std::exchange(waiting_[*s.residual].passed, dy)) refuse(*s.residual);
  }
  void operator()(stem_step& s) {
    const value_id dy = gradient(s.y);
    dims4 d = p_[s.image].dims;
    d = {d.n, p_[s.y].dims.c, s.window.out(d.h), s.window.out(d.w)};
    if (!s.unpooled) s.unpooled = p_.add("stem", value_kind::map, d);
    steps_.push_back(
        stem_adjoint_step{s.image, *s.unpooled, s.kernel, s.window, s.weight_eps, dy, add_gradient(*s.unpooled)});
  }
  void operator()(const mean_step&) { throw config_error("[adjoint] expected a program that begins with a stem_step"); }

 private:
  struct contributions {
    std::optional<norm_relu> norm;
    std::vector<adjoint_source> products;
    std::optional<value_id> passed, table;  ///< by a residual; a table's gradient, or a map's through the mean
  };

  value_id add_gradient(value_id of) {
    const value v = p_[of];
    return p_.add(v.name + "/gradient", v.kind, v.dims);
  }
  void source(const conv_source& s, value_id dy) {
    steps_.push_back(kernel_adjoint_step{s, dy});
    contributions& c = waiting_[s.x];
    c.norm = s.input;
    c.products.push_back({dy, s.kernel, s.window, s.weight_eps});
  }
  /// Emits the steps that make the gradient of map x out of what its readers have left.
  value_id gradient(value_id x) {
    contributions& c = waiting_[x];
    if (!c.norm || c.products.size() + (c.table ? 1 : 0) == 0 || c.products.size() > (c.table ? 0 : 2)) refuse(x);
    const value v = p_[x];
    const value_id dy = p_.add(v.name + "/activation/gradient", v.kind, v.dims);
    if (c.table) {
      steps_.push_back(mean_adjoint_step{*c.table, dy});
    } else {
      // The projection is met first on the way back; a product of stride 1 leads.
      if (c.products.size() == 2 && c.products[0].window.stride != 1) std::swap(c.products[0], c.products[1]);
      input_adjoint_step s{.main = c.products.front(), .dx = dy};
      if (c.products.size() == 2) s.projection = c.products.back();
      steps_.push_back(s);
    }
    const value_id dx = add_gradient(x);
    steps_.push_back(norm_adjoint_step{x, *c.norm, dy, c.passed, dx});
    return dx;
  }
  [[noreturn]] void refuse(value_id x) const {
    throw config_error("[adjoint] expected " + p_[x].name +
                       " to be read through one norm, by at most two convolutions or a pool, and as one residual");
  }

  program& p_;
  std::vector<adjoint_step>& steps_;
  std::map<value_id, contributions> waiting_;
};

}  // namespace detail

BIT_FUNC step_values values_of(const adjoint_step& s) {
  step_values out;
  std::visit(detail::adjoint_lister{out}, s);
  return out;
}

BIT_FUNC std::vector<step_values> flow_of(const training_program& p) {
  std::vector<step_values> flow;
  for (const step& s : p.forward.steps) flow.push_back(values_of(s));
  if (p.logits_gradient) flow.push_back({p.forward.outputs, {*p.logits_gradient}, {}, {}});
  for (const adjoint_step& s : p.backward) flow.push_back(values_of(s));
  return flow;
}

BIT_FUNC training_program with_adjoint(program forward) {
  const auto* head = forward.steps.empty() ? nullptr : std::get_if<head_step>(&forward.steps.back());
  if (!head || forward.outputs != std::vector<value_id>{head->y})
    throw config_error(
        "[adjoint] expected a program whose only output are the logits; a model without a head has no loss");
  training_program p{std::move(forward), {}, {}};
  detail::adjoint_builder build(p.forward, p.backward);
  p.logits_gradient = build.begin(p.forward.outputs.front());
  for (auto s = p.forward.steps.rbegin(); s != p.forward.steps.rend(); ++s) std::visit(build, *s);
  return p;
}

}  // namespace bit::inline v0
