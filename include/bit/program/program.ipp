// SPDX-License-Identifier: Apache-2.0
// Bodies of program/program.hpp.
#pragma once

#include <bit/program/program.hpp>
#include <type_traits>

namespace bit::inline BIT_ABI {
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

/// Returns the step itself where it is of kind Wanted. There is no default: each kind of step is named.
template <class Wanted>
struct step_selector {
  template <class Step>
  static const Wanted* select(const Step& s) {
    if constexpr (std::is_same_v<Step, Wanted>) return &s;
    return nullptr;
  }
  const Wanted* operator()(const stem_step& s) const { return select(s); }
  const Wanted* operator()(const conv_step& s) const { return select(s); }
  const Wanted* operator()(const pool_step& s) const { return select(s); }
  const Wanted* operator()(const mean_step& s) const { return select(s); }
  const Wanted* operator()(const head_step& s) const { return select(s); }
};

struct standardised_kernel_lister {
  std::vector<standardised_kernel_ref>& out;

  void operator()(const stem_step& s) const { out.push_back({s.kernel, s.weight_eps}); }
  void operator()(const conv_step& s) const {
    out.push_back({s.main.kernel, s.main.weight_eps});
    if (s.projection) out.push_back({s.projection->kernel, s.projection->weight_eps});
  }
  void operator()(const pool_step&) const {}
  void operator()(const mean_step&) const {}
  void operator()(const head_step&) const {}
};

}  // namespace detail

BIT_FUNC const conv_step* convolution_of(const step& s) { return std::visit(detail::step_selector<conv_step>{}, s); }
BIT_FUNC const head_step* classifier_of(const step& s) { return std::visit(detail::step_selector<head_step>{}, s); }

BIT_FUNC std::vector<standardised_kernel_ref> standardised_kernels(const step& s) {
  std::vector<standardised_kernel_ref> kernels;
  std::visit(detail::standardised_kernel_lister{kernels}, s);
  return kernels;
}

BIT_FUNC step_values values_of(const step& s) {
  step_values out;
  std::visit(detail::value_lister{out}, s);
  return out;
}

}  // namespace bit::inline BIT_ABI
