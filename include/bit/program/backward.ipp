// Bodies of program/backward.hpp.
#pragma once

#include <bit/error.hpp>
#include <bit/program/backward.hpp>
#include <initializer_list>
#include <map>
#include <utility>

namespace bit::inline v0 {
namespace detail {

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
  void operator()(const recomputed_step& s) const { out = values_of(s.forward); }
};

/// Which gradients are wanted at all: a value's if a parameter before it learns.
class backward_needs {
 public:
  backward_needs(const training_program& p, bool to_image) : p_(p), wanted_(p.forward.values.size(), false) {
    for (const step& s : p.forward.steps) std::visit([&](const auto& of) { note(of, to_image); }, s);
  }

  bool of(value_id v) const { return wanted_[static_cast<std::size_t>(v)]; }
  /// Of relu(norm(x)).
  bool through(const norm_relu& norm, value_id x) const {
    return p_.learns(norm.gamma) || p_.learns(norm.beta) || of(x);
  }

 private:
  void note(const stem_step& s, bool to_image) { set(s.y, to_image || p_.learns(s.kernel)); }
  void note(const conv_step& s, bool) {
    const auto wanted = [&](const conv_source& c) { return p_.learns(c.kernel) || through(c.input, c.x); };
    set(s.y, wanted(s.main) || (s.projection && wanted(*s.projection)) || (s.residual && of(*s.residual)));
  }
  void note(const pool_step& s, bool) { set(s.pooled, through(s.input, s.x)); }
  void note(const mean_step&, bool) {}
  void note(const head_step& s, bool) { set(s.y, p_.learns(s.kernel) || p_.learns(s.bias) || of(s.x)); }
  void set(value_id v, bool wanted) { wanted_[static_cast<std::size_t>(v)] = wanted; }

  const training_program& p_;
  std::vector<bool> wanted_;
};

/// Makes maps within a unit again, the first time that the way back needs them: those that a convolution without a
/// residual writes and one other convolution reads. Everything else has been kept.
class map_restorer {
 public:
  map_restorer(training_program& p, recomputation how) : p_(p) {
    if (how == recomputation::none) return;
    std::map<value_id, std::size_t> reads;
    std::map<value_id, bool> by_convolution;
    for (const step& s : p.forward.steps)
      for (const value_id id : values_of(s).reads) {
        ++reads[id];
        by_convolution[id] = std::holds_alternative<conv_step>(s);
      }
    for (const step& s : p.forward.steps) {
      const auto* conv = std::get_if<conv_step>(&s);
      if (conv && !conv->residual && reads[conv->y] == 1 && by_convolution[conv->y]) within_.emplace(conv->y, *conv);
    }
    for (const value_id id : p.forward.outputs) within_.erase(id);
  }

  /// Where x is to be read on the way back.
  value_id operator()(value_id x) {
    const auto found = within_.find(x);
    if (found == within_.end()) return x;
    const auto [at, first] = again_.try_emplace(x);
    if (!first) return at->second;
    conv_step s = found->second;
    s.main.x = (*this)(s.main.x);
    if (s.projection) s.projection->x = (*this)(s.projection->x);
    s.statistics.reset();  // those of the first time are still there
    const value v = p_.forward[x];
    at->second = s.y = p_.forward.add(v.name + "/again", v.kind, v.dims);
    p_.backward.emplace_back(recomputed_step{s});
    return s.y;
  }

 private:
  training_program& p_;
  std::map<value_id, conv_step> within_;
  std::map<value_id, value_id> again_;
};

/// Walks the forward steps from the last to the first. What readers of a map have left for its gradient waits until the
/// step that writes the map is reached: then all of them have been there.
class backward_builder {
 public:
  backward_builder(training_program& p, recomputation how, bool to_image)
      : t_(p), p_(p.forward), how_(how), needs_(p, to_image), kept_(p, how) {}

  /// The gradient of a value that is complete from the start.
  value_id begin(value_id y) {
    const value_id dy = add_gradient(y);
    waiting_[y].table = dy;
    return dy;
  }

  void operator()(const head_step& s) {
    if (!needs_.of(s.y)) return;
    head_backward_step back{s.x, s.kernel, s.bias, waiting_.at(s.y).table.value()};
    if (needs_.of(s.x)) waiting_[s.x].table = back.dx = add_gradient(s.x);
    emit(back);
  }
  void operator()(const pool_step& s) {
    if (!needs_.of(s.pooled)) return;
    contributions& c = waiting_[s.x];
    c.norm = s.input;
    c.table = waiting_.at(s.pooled).table;
  }
  void operator()(const conv_step& s) {
    const auto dy = gradient(s.y);
    if (!dy) return;
    source(s.main, *dy);
    if (s.projection) source(*s.projection, *dy);
    if (s.residual && needs_.of(*s.residual) && std::exchange(waiting_[*s.residual].passed, *dy)) refuse(*s.residual);
  }
  void operator()(stem_step& s) {
    const auto dy = gradient(s.y);
    if (!dy) return;
    dims4 d = p_[s.image].dims;
    d = {d.n, p_[s.y].dims.c, s.window.out(d.h), s.window.out(d.w)};
    value_id unpooled = s.unpooled ? *s.unpooled : p_.add("stem", value_kind::feature_map, d);
    if (how_ == recomputation::units && !s.unpooled) {
      stem_step again = s;
      const value v = p_[s.y];
      again.unpooled = unpooled;
      again.y = p_.add(v.name + "/again", v.kind, v.dims);
      again.statistics.reset();
      emit(recomputed_step{again});
    } else {
      s.unpooled = unpooled;
    }
    emit(stem_backward_step{s.image, unpooled, s.kernel, s.window, s.weight_eps, *dy, add_gradient(unpooled)});
  }
  void operator()(const mean_step& s) {
    if (needs_.of(s.y)) throw config_error("[backward] expected a program that begins with a stem_step");
  }

 private:
  struct contributions {
    std::optional<norm_relu> norm;
    std::vector<backward_source> products;
    std::optional<value_id> passed, table;  ///< by a residual; a table's gradient, or a map's through the mean
  };

  void emit(const backward_step& s) { t_.backward.push_back(s); }
  value_id add_gradient(value_id of) {
    const value v = p_[of];
    return p_.add(v.name + "/gradient", v.kind, v.dims);
  }
  void source(const conv_source& s, value_id dy) {
    if (t_.learns(s.kernel)) {
      conv_source read = s;
      read.x = kept_(s.x);
      emit(backward_weights_step{read, dy});
    }
    if (!needs_.through(s.input, s.x)) return;
    contributions& c = waiting_[s.x];
    c.norm = s.input;
    c.products.push_back({dy, s.kernel, s.window, s.weight_eps});
  }
  /// Emits the steps that make the gradient of map x out of what its readers have left; nothing if nobody wants it.
  std::optional<value_id> gradient(value_id x) {
    const auto found = waiting_.find(x);
    if (found == waiting_.end() && !needs_.of(x)) return std::nullopt;
    contributions& c = waiting_[x];
    if (!c.norm || c.products.size() + (c.table ? 1 : 0) == 0 || c.products.size() > (c.table ? 0 : 2)) refuse(x);
    const value v = p_[x];
    const value_id dy = p_.add(v.name + "/activation/gradient", v.kind, v.dims);
    if (c.table) {
      emit(mean_backward_step{*c.table, dy});
    } else {
      // The projection is met first on the way back; a product of stride 1 leads.
      if (c.products.size() == 2 && c.products[0].window.stride != 1) std::swap(c.products[0], c.products[1]);
      backward_data_step s{.main = c.products.front(), .dx = dy};
      if (c.products.size() == 2) s.projection = c.products.back();
      emit(s);
    }
    norm_backward_step s{kept_(x), *c.norm, dy, c.passed};
    if (needs_.of(x)) s.dx = add_gradient(x);
    emit(s);
    return s.dx;
  }
  [[noreturn]] void refuse(value_id x) const {
    throw config_error("[backward] expected " + p_[x].name +
                       " to be read through one norm, by at most two convolutions or a pool, and as one residual");
  }

  training_program& t_;
  program& p_;
  const recomputation how_;
  const backward_needs needs_;
  map_restorer kept_;
  std::map<value_id, contributions> waiting_;
};

}  // namespace detail

BIT_FUNC step_values values_of(const backward_step& s) {
  step_values out;
  std::visit(detail::backward_lister{out}, s);
  return out;
}

BIT_FUNC std::vector<step_values> flow_of(const training_program& p) {
  std::vector<step_values> flow;
  for (const step& s : p.forward.steps) flow.push_back(values_of(s));
  if (p.logits_gradient) flow.push_back({p.forward.outputs, {*p.logits_gradient}, {}, {}});
  for (const backward_step& s : p.backward) flow.push_back(values_of(s));
  return flow;
}

BIT_FUNC training_program with_backward(program forward, const training_options& options, bool to_image) {
  const auto* head = forward.steps.empty() ? nullptr : std::get_if<head_step>(&forward.steps.back());
  if (!head || forward.outputs != std::vector<value_id>{head->y})
    throw config_error(
        "[backward] expected a program whose only output are the logits; a model without a head has no loss");
  training_program p{.forward = std::move(forward), .frozen = options.frozen};
  detail::backward_builder build(p, options.recompute, to_image);
  p.logits_gradient = build.begin(p.forward.outputs.front());
  for (auto s = p.forward.steps.rbegin(); s != p.forward.steps.rend(); ++s) std::visit(build, *s);
  return p;
}

}  // namespace bit::inline v0
