// SPDX-License-Identifier: Apache-2.0
// Bodies of program/backward.hpp.
#pragma once

#include <algorithm>
#include <bit/error.hpp>
#include <bit/program/backward.hpp>
#include <bit/program/backward_lister.ipp>
#include <bit/program/backward_needs.ipp>
#include <map>
#include <utility>

namespace bit::inline BIT_ABI {
namespace detail {

/// Walks the forward steps from the last to the first. What readers of a map have left for its gradient waits until the
/// step that writes the map is reached: then all of them have been there.
class backward_builder {
 public:
  backward_builder(training_program& p, recomputation how)
      : t_(p), p_(p.forward), how_(how), needs_(p), kept_(p, how) {}

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
    if (!back.dx) return;
    take_output(s.x, *back.dx, true);
    tap(s.x, *back.dx);
  }
  void operator()(pool_step& s) {
    const std::optional<value_id> features = s.features;
    if (features && !is_output(*features)) s.features.reset();  // the map itself is not read
    if (!needs_.of(s.pooled) || !(needs_.through(s.input, s.x) || (features && needs_.of(*features)))) return;
    if (auto& table = waiting_[s.pooled].table; !table && output_of(s.pooled)) {
      table = add_gradient(s.pooled);
      take_output(s.pooled, *table, false);
      tap(s.pooled, *table);
    }
    contributions& c = waiting_[s.x];
    c.norm = s.input;
    c.table = waiting_.at(s.pooled).table;
    c.features = features;
  }
  void operator()(const conv_step& s) {
    const auto dy = gradient(s.y);
    if (!dy) return;
    source(s.main, *dy);
    if (s.projection) source(*s.projection, *dy);
    if (s.residual && needs_.of(*s.residual) && std::exchange(waiting_[*s.residual].passed, *dy)) refuse(*s.residual);
  }
  void operator()(stem_step& s) {
    if (s.unpooled && output_of(*s.unpooled) && !waiting_.contains(s.y) && !output_of(s.y))
      throw config_error("[backward] expected an output after the stem, whose map alone has no gradient");
    const auto dy = gradient(s.y);
    const bool unpooled_tapped = s.unpooled && needs_.of(*s.unpooled);
    if (!dy || !(t_.learns(s.kernel) || needs_.of(s.image) || unpooled_tapped)) return;
    dims4 d = p_[s.image].dims;
    d = {d.n, p_[s.y].dims.c, s.window.out(d.h), s.window.out(d.w)};
    value_id unpooled = s.unpooled ? *s.unpooled : p_.add("stem", value_kind::feature_map, d);
    if (how_ == recomputation::units && !(s.unpooled && is_output(*s.unpooled))) {
      s.unpooled.reset();
      stem_step again = s;
      const value v = p_[s.y];
      again.unpooled = unpooled;
      again.y = p_.add(v.name + "/again", v.kind, v.dims);
      again.statistics.reset();
      emit(recomputed_step{again});
    } else {
      s.unpooled = unpooled;
    }
    const value_id dunpooled = add_gradient(unpooled);
    emit(stem_backward_step{s.image, unpooled, s.kernel, s.window, s.weight_eps, *dy, dunpooled, tap_of(s.image),
                            output_of(unpooled)});
    tap(unpooled, dunpooled);
  }
  void operator()(const mean_step& s) {
    if (needs_.of(s.y)) throw config_error("[backward] expected a program that begins with a stem_step");
  }

 private:
  struct contributions {
    std::optional<norm_relu> norm;
    std::vector<backward_source> products;
    std::optional<value_id> passed, table;  ///< by a residual; a table's gradient, or a map's through the mean
    std::optional<value_id> features;       ///< the pool's relu(norm(x)) as a value, which may be tapped
  };

  void emit(const backward_step& s) { t_.backward.push_back(s); }
  value_id add_gradient(value_id of) {
    const value v = p_[of];
    return p_.add(v.name + "/gradient", v.kind, v.dims);
  }
  bool is_output(value_id v) const { return std::find(p_.outputs.begin(), p_.outputs.end(), v) != p_.outputs.end(); }
  std::optional<std::size_t> tap_of(value_id v) const {
    const auto at = std::find(t_.taps.begin(), t_.taps.end(), v);
    if (at == t_.taps.end()) return std::nullopt;
    return static_cast<std::size_t>(at - t_.taps.begin());
  }
  /// Where v is among the outputs whose gradients the caller gives; not the logits, which the pass begins with.
  std::optional<std::size_t> output_of(value_id v) const {
    const auto at = std::find(p_.outputs.begin(), p_.outputs.end(), v);
    if (!t_.from_outputs || at == p_.outputs.end()) return std::nullopt;
    return static_cast<std::size_t>(at - p_.outputs.begin());
  }
  /// Takes the caller's gradient of v, if v is an output, into the value that holds it or adds it there.
  void take_output(value_id v, value_id dv, bool adds) {
    if (const auto index = output_of(v)) emit(output_gradient_step{dv, *index, adds});
  }
  /// Hands the gradient dv of v to the caller if v is tapped.
  void tap(value_id v, value_id dv) {
    if (const auto index = tap_of(v)) emit(gradient_tap_step{dv, *index});
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
  /// Emits the steps that make the gradient of map x out of what its readers have left; nothing if it is not wanted.
  std::optional<value_id> gradient(value_id x) {
    const auto found = waiting_.find(x);
    if (found == waiting_.end() && !needs_.of(x)) return std::nullopt;
    contributions& c = waiting_[x];
    const bool after_pool = c.table || (c.features && output_of(*c.features));
    if (!c.norm && !c.passed && output_of(x)) {  // nothing reads it
      const value_id dx = add_gradient(x);
      take_output(x, dx, false);
      tap(x, dx);
      return dx;
    }
    if (!c.norm || c.products.size() + (after_pool ? 1 : 0) == 0 || c.products.size() > (after_pool ? 0 : 2)) refuse(x);
    const value v = p_[x];
    const value_id dy = p_.add(v.name + "/activation/gradient", v.kind, v.dims);
    if (after_pool) {
      if (c.table) emit(mean_backward_step{*c.table, dy});
      if (c.features) take_output(*c.features, dy, c.table.has_value());
      if (c.features) tap(*c.features, dy);
      if (!needs_.through(*c.norm, x)) return std::nullopt;
    } else {
      // The projection is met first in the backward pass; a product of stride 1 leads.
      if (c.products.size() == 2 && c.products[0].window.stride != 1) std::swap(c.products[0], c.products[1]);
      backward_data_step s{.main = c.products.front(), .dx = dy};
      if (c.products.size() == 2) s.projection = c.products.back();
      emit(s);
    }
    norm_backward_step s{kept_(x), *c.norm, dy, c.passed};
    if (needs_.of(x)) s.dx = add_gradient(x);
    emit(s);
    if (!s.dx) return std::nullopt;
    take_output(x, *s.dx, true);
    tap(x, *s.dx);
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

namespace detail {

inline training_program make_backward(program forward, bool from_outputs, const std::optional<value_id>& logits,
                                      const training_options& options, std::span<const value_id> taps) {
  for (std::size_t i = 0; i < taps.size(); ++i) {
    const value& v = forward[taps[i]];
    if (v.kind == value_kind::statistics || taps[i] == logits)
      throw config_error("[backward] expected gradient taps of feature maps, pooled features or the image, got " +
                         v.name);
    if (std::find(taps.begin(), taps.begin() + static_cast<std::ptrdiff_t>(i), taps[i]) !=
        taps.begin() + static_cast<std::ptrdiff_t>(i))
      throw config_error("[backward] expected gradient taps of different values, got " + v.name + " twice");
  }
  training_program p{.forward = std::move(forward),
                     .from_outputs = from_outputs,
                     .frozen = options.frozen,
                     .taps = {taps.begin(), taps.end()}};
  backward_builder build(p, options.recompute);
  if (logits) p.logits_gradient = build.begin(*logits);
  for (auto s = p.forward.steps.rbegin(); s != p.forward.steps.rend(); ++s) std::visit(build, *s);
  return p;
}

/// The logits among the outputs, if the program ends in them.
inline std::optional<value_id> logits_of(const program& forward) {
  const head_step* head = forward.steps.empty() ? nullptr : classifier_of(forward.steps.back());
  if (!head || std::find(forward.outputs.begin(), forward.outputs.end(), head->y) == forward.outputs.end())
    return std::nullopt;
  return head->y;
}

}  // namespace detail

BIT_FUNC training_program with_backward(program forward, const training_options& options,
                                        std::span<const value_id> taps) {
  const std::optional<value_id> logits = detail::logits_of(forward);
  if (!logits || forward.outputs.size() != 1)
    throw config_error(
        "[backward] expected a program whose only output are the logits; a model without a head has no loss");
  return detail::make_backward(std::move(forward), false, logits, options, taps);
}

BIT_FUNC training_program with_backward_from_outputs(program forward, const training_options& options,
                                                     std::span<const value_id> taps) {
  for (auto at = forward.outputs.begin(); at != forward.outputs.end(); ++at)
    if (std::find(forward.outputs.begin(), at, *at) != at)
      throw config_error("[backward] expected outputs of different values, got " + forward[*at].name + " twice");
  const std::optional<value_id> logits = detail::logits_of(forward);
  return detail::make_backward(std::move(forward), true, logits, options, taps);
}

}  // namespace bit::inline BIT_ABI
