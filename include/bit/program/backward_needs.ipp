// SPDX-License-Identifier: Apache-2.0
// What with_backward decides before it emits a step: which gradients are wanted, and which feature maps are recomputed.
// Included by backward.ipp.
#pragma once

#include <map>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// Which gradients are wanted at all: a value's if it is tapped, or if a parameter or a tap comes before it.
class backward_needs {
 public:
  explicit backward_needs(const training_program& p) : p_(p), wanted_(p.forward.values.size(), false) {
    for (const value_id id : p.taps) want(id, true);
    for (const step& s : p.forward.steps) std::visit([&](const auto& of) { note(of); }, s);
  }

  bool of(value_id v) const { return wanted_[static_cast<std::size_t>(v)]; }
  /// Of relu(norm(x)).
  bool through(const norm_relu& norm, value_id x) const {
    return p_.learns(norm.gamma) || p_.learns(norm.beta) || of(x);
  }

 private:
  void note(const stem_step& s) {
    const bool before = p_.learns(s.kernel) || of(s.image);
    if (s.unpooled) want(*s.unpooled, before);
    want(s.y, before || (s.unpooled && of(*s.unpooled)));
  }
  void note(const conv_step& s) {
    const auto wanted = [&](const conv_source& c) { return p_.learns(c.kernel) || through(c.input, c.x); };
    want(s.y, wanted(s.main) || (s.projection && wanted(*s.projection)) || (s.residual && of(*s.residual)));
  }
  void note(const pool_step& s) { want(s.pooled, through(s.input, s.x) || (s.features && of(*s.features))); }
  void note(const mean_step& s) { want(s.y, of(s.image)); }
  void note(const head_step& s) { want(s.y, p_.learns(s.kernel) || p_.learns(s.bias) || of(s.x)); }
  void want(value_id v, bool wanted) { wanted_[static_cast<std::size_t>(v)] = of(v) || wanted; }

  const training_program& p_;
  std::vector<bool> wanted_;
};

/// Recomputes maps within a unit, the first time that the backward pass needs them: those that a convolution without a
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
        by_convolution[id] = convolution_of(s) != nullptr;
      }
    for (const step& s : p.forward.steps) {
      const conv_step* conv = convolution_of(s);
      if (conv && !conv->residual && reads[conv->y] == 1 && by_convolution[conv->y]) within_.emplace(conv->y, *conv);
    }
    for (const value_id id : p.forward.outputs) within_.erase(id);
  }

  /// Where x is to be read in the backward pass.
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

}  // namespace bit::inline BIT_ABI::detail
