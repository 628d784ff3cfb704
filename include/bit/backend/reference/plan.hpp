// SPDX-License-Identifier: Apache-2.0
// Runs the steps of a program one by one on xtensors.
#pragma once

#include <bit/backend/freeze_options.hpp>
#include <bit/backend/reference/ops.hpp>
#include <bit/backend/report.hpp>
#include <bit/backend/run.hpp>
#include <bit/program/memory_plan.hpp>
#include <memory>
#include <span>
#include <unordered_map>

namespace bit::inline BIT_ABI::detail {

/// Parameters by name, convolution kernels standardised; vectors (c) as (1,1,1,c).
template <class T>
class reference_weights {
 public:
  explicit reference_weights(const program& p, const freeze_options& = {}) {
    for (const step& s : p.steps) {
      for (const auto& [kernel, eps] : standardised_kernels(s)) add(p[kernel], eps);
      for (parameter_id id : values_of(s).parameters) add(p[id], 0);
    }
  }

  const tensor4<T>& at(const named_tensor& tensor) const { return values_.at(tensor.name); }
  std::size_t bytes() const {
    std::size_t total = 0;
    for (const auto& [name, value] : values_) total += value.size() * sizeof(T);
    return total;
  }
  /// Proportional to the work: no batch is better than another.
  double predicted_seconds(const program& p) const {
    double seconds = 0;
    for (const step_summary& s : summarise(p)) seconds += 1e-9 * static_cast<double>(s.macs);
    return seconds;
  }

 private:
  void add(const named_tensor& tensor, double eps) {
    if (values_.contains(tensor.name)) return;
    std::array<std::size_t, 4> shape{1, 1, 1, 1};
    std::copy(tensor.shape.begin(), tensor.shape.end(), shape.end() - static_cast<std::ptrdiff_t>(tensor.shape.size()));
    auto value = tensor4<T>::from_shape(shape);
    tensor.data->read(std::span<T>(value.data(), value.size()));
    if (eps > 0) value = ref::standardise(value, eps);
    values_.emplace(tensor.name, std::move(value));
  }

  std::unordered_map<std::string, tensor4<T>> values_;
};

/// The values of one run.
template <class T>
struct reference_workspace {
  explicit reference_workspace(std::size_t) {}
};

/// A program and its constants; immutable. Runs allocate as they go.
template <class T>
class reference_plan {
 public:
  reference_plan(const program& p, std::shared_ptr<const reference_weights<T>> weights)
      : program_(p), weights_(std::move(weights)) {
    std::vector<std::size_t> bytes;
    for (const value& v : p.values)
      bytes.push_back(v.kind == value_kind::feature_map || v.kind == value_kind::matrix ? v.dims.size() * sizeof(T)
                                                                                        : 0);
    memory_ = plan_memory(p, bytes);
  }

  std::size_t workspace_bytes(std::size_t) const { return memory_.total; }
  const memory_plan& memory() const { return memory_; }
  std::vector<step_profile> report(const program& p) const { return report_steps(p, memory_.bytes, sizeof(T)); }

  /// See cpu_plan::run; returns false if options.interrupted() said so between two steps.
  bool run(const image_view<T>& image, std::span<T* const> outputs, reference_workspace<T>&,
           const run_options& options) const {
    if (image.dims.n == 0) return true;  // xtensor's views do arithmetic on an empty tensor's null pointer
    execution e{*this, image, std::vector<tensor4<T>>(program_.values.size())};
    step_timer timer(options.step_seconds);
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      std::visit(e, program_.steps[i]);
      for (std::size_t v = 0; v < e.values.size(); ++v)
        if (memory_.ranges[v].used && memory_.ranges[v].last == i) e.values[v] = {};
      timer.finished(i);
      if (options.interrupted && options.interrupted()) return false;
    }
    for (std::size_t i = 0; i < outputs.size(); ++i)
      execution::write(e.at(program_.outputs[i]), outputs[i], options.output_layout);
    return true;
  }

 private:
  template <class>
  friend class reference_training_plan;
  /// One visit per step; tables are maps of 1x1 pixels.
  struct execution {
    const reference_plan& plan;
    const image_view<T>& image;
    std::vector<tensor4<T>> values;

    /// Copies y (n,h,w,c) to the caller's memory in its order.
    static void write(const tensor4<T>& y, T* to, layout order) {
      const auto& s = y.shape();
      if (order == layout::nhwc) {
        std::copy(y.begin(), y.end(), to);
        return;
      }
      const std::array<std::size_t, 4> nchw{s[0], s[3], s[1], s[2]};
      std::copy(y.begin(), y.end(),
                xt::transpose(xt::adapt(to, y.size(), xt::no_ownership(), nchw), {0, 2, 3, 1}).begin());
    }
    tensor4<T>& at(value_id id) { return values[static_cast<std::size_t>(id)]; }
    const tensor4<T>& weights_of(parameter_id id) const { return plan.weights_->at(plan.program_[id]); }

    tensor4<T> input_image() const {
      const dims4& d = image.dims;
      auto x = tensor4<T>::from_shape({d.n, d.h, d.w, d.c});
      for (std::size_t n = 0; n < d.n; ++n)
        for (std::size_t h = 0; h < d.h; ++h)
          for (std::size_t w = 0; w < d.w; ++w)
            for (std::size_t c = 0; c < d.c; ++c) x(n, h, w, c) = image.at(n, c, h, w);
      return x;
    }
    static tensor4<T> as_map(const matrix<T>& table) {
      return xt::reshape_view(table, {table.shape()[0], std::size_t{1}, std::size_t{1}, table.shape()[1]});
    }
    tensor4<T> normalised(value_id x, const norm_relu& norm) {
      const std::size_t groups = plan.program_[norm.statistics].dims.c;
      return ref::norm_relu(at(x), groups, weights_of(norm.gamma), weights_of(norm.beta), norm.eps);
    }
    tensor4<T> product(const conv_source& s) {
      return ref::conv2d(normalised(s.x, s.input), weights_of(s.kernel), s.window);
    }

    void operator()(const stem_step& s) {
      const tensor4<T> y = ref::conv2d(input_image(), weights_of(s.kernel), s.window);
      if (s.unpooled) at(*s.unpooled) = y;
      at(s.y) = ref::max_pool(y, stem_pool);
    }
    void operator()(const conv_step& s) {
      tensor4<T> y = product(s.main);
      if (s.projection) y += product(*s.projection);
      if (s.residual) y += at(*s.residual);
      at(s.y) = std::move(y);
    }
    void operator()(const pool_step& s) {
      const tensor4<T> features = normalised(s.x, s.input);
      if (s.features) at(*s.features) = features;
      at(s.pooled) = as_map(ref::spatial_mean(features));
    }
    void operator()(const mean_step& s) { at(s.y) = as_map(ref::spatial_mean(input_image())); }
    void operator()(const head_step& s) {
      at(s.y) = ref::conv2d(at(s.x), weights_of(s.kernel), {}) + weights_of(s.bias);
    }
  };

  program program_;
  std::shared_ptr<const reference_weights<T>> weights_;
  memory_plan memory_;
};

}  // namespace bit::inline BIT_ABI::detail
