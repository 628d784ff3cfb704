// SPDX-License-Identifier: Apache-2.0
// Training with the reference backend: the backward steps one by one on xtensors.
#pragma once

#include <bit/backend/cpu/parameters.hpp>
#include <bit/backend/gradient_tap.hpp>
#include <bit/backend/reference.hpp>
#include <bit/backend/reference/backward_ops.hpp>
#include <bit/backend/training.hpp>
#include <bit/program/summary.hpp>
#include <memory>
#include <unordered_map>

namespace bit::inline BIT_ABI {
namespace detail {

/// The parameters by name; nothing is derived from them between two runs.
template <class T>
class reference_training_weights {
 public:
  explicit reference_training_weights(const std::shared_ptr<host_parameters<T>>& parameters) : owner_(parameters) {
    for (const auto& p : *owner_) parameters_.emplace(p.name, &p);
  }
  /// Kernels are standardised anew for each run.
  std::size_t bytes(std::size_t) const {
    std::size_t total = 0;
    for (const auto& [name, p] : parameters_) total += p->value.size() * sizeof(T);
    return total;
  }
  const trainable_parameter<T>& at(const named_tensor& tensor) const { return *parameters_.at(tensor.name); }

 private:
  std::shared_ptr<const host_parameters<T>> owner_;
  std::unordered_map<std::string, const trainable_parameter<T>*> parameters_;
};

/// What the forward pass leaves for the backward pass.
template <class T>
struct reference_training_workspace {
  explicit reference_training_workspace(std::size_t) {}
  std::optional<reference_plan<T>> forward;
  std::vector<tensor4<T>> values;
};

template <class T>
class reference_training_plan {
 public:
  using workspace = reference_training_workspace<T>;

  reference_training_plan(const training_program& p, std::shared_ptr<reference_training_weights<T>> weights)
      : reference_training_plan(p, std::move(weights), nullptr) {}
  /// A plan of which nothing learns, over the weights of a frozen model.
  reference_training_plan(const training_program& p, std::shared_ptr<const reference_weights<T>> frozen)
      : reference_training_plan(p, nullptr, std::move(frozen)) {}

  std::size_t workspace_bytes(std::size_t) const { return memory_.total; }
  const memory_plan& memory() const { return memory_; }

  bool forward(const image_view<T>& image, T* logits, workspace& memory, const run_options& options) const {
    return run_forward(image, memory, options, [&](execution& e) {
      const tensor4<T>& y = e.at(program_.forward.outputs.front());
      std::copy(y.begin(), y.end(), logits);
    });
  }
  bool forward_to_outputs(const image_view<T>& image, std::span<T* const> outputs, workspace& memory,
                          const run_options& options) const {
    return run_forward(image, memory, options, [&](execution& e) {
      for (std::size_t i = 0; i < outputs.size(); ++i)
        if (outputs[i]) e.write(e.at(program_.forward.outputs[i]), outputs[i], options.output_layout);
    });
  }

  bool backward(const image_view<T>& image, const T* dlogits, double scale, std::span<const gradient_tap<T>> taps,
                workspace& memory, const run_options& options) const {
    return run_backward(image, dlogits, {}, scale, taps, memory, options);
  }
  bool backward_from_outputs(const image_view<T>& image, std::span<const T* const> gradients, double scale,
                             std::span<const gradient_tap<T>> taps, workspace& memory,
                             const run_options& options) const {
    const T* dlogits = nullptr;
    for (std::size_t i = 0; i < gradients.size() && program_.logits_gradient; ++i)
      if (program_.forward.outputs[i] == std::get<head_step>(program_.forward.steps.back()).y) dlogits = gradients[i];
    return run_backward(image, dlogits, gradients, scale, taps, memory, options);
  }

 private:
  struct execution;

  /// `hand_out` sees the values when all steps have run.
  template <class HandOut>
  bool run_forward(const image_view<T>& image, workspace& memory, const run_options& options,
                   const HandOut& hand_out) const {
    memory.forward.emplace(program_.forward,
                           frozen_ ? frozen_ : std::make_shared<const reference_weights<T>>(program_.forward));
    execution e{{*memory.forward, image, std::vector<tensor4<T>>(program_.forward.values.size())},
                *this,
                1,
                {},
                {},
                options.output_layout};
    for (std::size_t i = 0; i < program_.forward.steps.size(); ++i) {
      std::visit(e, program_.forward.steps[i]);
      e.release(i);
      if (options.interrupted && options.interrupted()) return false;
    }
    hand_out(e);
    memory.values = std::move(e.values);
    return true;
  }
  bool run_backward(const image_view<T>& image, const T* dlogits, std::span<const T* const> gradients, double scale,
                    std::span<const gradient_tap<T>> taps, workspace& memory, const run_options& options) const {
    const std::vector<T*> outputs = tap_outputs<T>(program_.taps, taps);
    execution e{
        {*memory.forward, image, std::move(memory.values)}, *this, scale, outputs, gradients, options.output_layout};
    if (program_.logits_gradient) {
      const value_id dy = *program_.logits_gradient;
      const dims4& d = program_.forward[dy].dims;
      e.at(dy) = xt::zeros<T>({d.n, std::size_t{1}, std::size_t{1}, d.c});
      if (dlogits) std::copy_n(dlogits, d.size(), e.at(dy).begin());
    }
    for (std::size_t i = 0; i < program_.backward.size(); ++i) {
      std::visit(e, program_.backward[i]);
      e.release(program_.forward.steps.size() + (program_.logits_gradient ? 1 : 0) + i);
      if (options.interrupted && options.interrupted()) return false;
    }
    return true;
  }

  reference_training_plan(const training_program& p, std::shared_ptr<reference_training_weights<T>> weights,
                          std::shared_ptr<const reference_weights<T>> frozen)
      : program_(p), weights_(std::move(weights)), frozen_(std::move(frozen)) {
    std::vector<std::size_t> bytes;
    for (const value& v : p.forward.values)
      bytes.push_back(v.kind == value_kind::feature_map || v.kind == value_kind::matrix ? v.dims.size() * sizeof(T)
                                                                                        : 0);
    memory_ = plan_memory(flow_of(p), p.forward.outputs, bytes);
  }

  /// The forward steps of reference_plan, and the backward ones.
  struct execution : reference_plan<T>::execution {
    using base = typename reference_plan<T>::execution;
    using base::operator();
    const reference_training_plan& training;
    double scale;
    std::span<T* const> outputs;                ///< of the taps
    std::span<const T* const> given_gradients;  ///< of the outputs
    layout order;

    execution(base forward, const reference_training_plan& of, double factor, std::span<T* const> taps,
              std::span<const T* const> given, layout as)
        : base(std::move(forward)), training(of), scale(factor), outputs(taps), given_gradients(given), order(as) {}

    const dims4& dims(value_id id) const { return training.program_.forward[id].dims; }
    const trainable_parameter<T>& parameter(parameter_id id) const {
      return training.weights_->at(training.program_.forward[id]);
    }
    /// Forgets what step `i` is the last to touch.
    void release(std::size_t i) {
      for (std::size_t v = 0; v < this->values.size(); ++v)
        if (training.memory_.ranges[v].used && training.memory_.ranges[v].last == i) this->values[v] = {};
    }
    void add_gradient(parameter_id id, const tensor4<T>& gradient) const {
      if (!training.program_.learns(id)) return;
      const std::span<T> sum = parameter(id).gradient;
      auto from = gradient.begin();
      for (T& s : sum) s = static_cast<T>(static_cast<double>(s) + scale * static_cast<double>(*from++));
    }
    /// Through the standardisation.
    void add_kernel_gradient(parameter_id id, const tensor4<T>& gradient, double eps) const {
      if (!training.program_.learns(id)) return;
      auto w = tensor4<T>::from_shape(gradient.shape());
      std::copy(parameter(id).value.begin(), parameter(id).value.end(), w.begin());
      add_gradient(id, ref::standardise_backward(w, gradient, eps));
    }
    tensor4<T> through(const backward_source& s, const dims4& x) {
      return ref::conv2d_backward_data(this->at(s.dy), this->weights_of(s.kernel), s.window, x.h, x.w);
    }

    /// The caller's gradient of an output, as a value or added to one; nothing stands for zeros.
    void take_output(value_id gradient, std::size_t output, bool adds) {
      const value& v = training.program_.forward[gradient];
      const T* from = given_gradients[output];
      const bool channels_last = v.kind == value_kind::matrix || order == layout::nhwc;
      const std::size_t rows = v.dims.h, columns = v.dims.w, channels = v.dims.c;
      if (!adds) this->at(gradient) = xt::zeros<T>({v.dims.n, rows, columns, channels});
      tensor4<T>& to = this->at(gradient);
      if (!from) return;
      for (std::size_t n = 0; n < v.dims.n; ++n)
        for (std::size_t y = 0; y < rows; ++y)
          for (std::size_t x = 0; x < columns; ++x)
            for (std::size_t c = 0; c < channels; ++c)
              to(n, y, x, c) += from[channels_last ? ((n * rows + y) * columns + x) * channels + c
                                                   : ((n * channels + c) * rows + y) * columns + x];
    }
    void operator()(const gradient_tap_step& s) {
      if (outputs[s.tap]) base::write(this->at(s.gradient), outputs[s.tap], order);
    }
    void operator()(const output_gradient_step& s) { take_output(s.gradient, s.output, s.adds); }
    void operator()(const recomputed_step& s) { std::visit(*this, s.forward); }
    void operator()(const backward_data_step& s) {
      tensor4<T> dx = through(s.main, dims(s.dx));
      if (s.projection) dx += through(*s.projection, dims(s.dx));
      this->at(s.dx) = std::move(dx);
    }
    void operator()(const backward_weights_step& s) {
      const conv_source& c = s.source;
      add_kernel_gradient(c.kernel,
                          ref::conv2d_backward_weights(this->normalised(c.x, c.input), this->at(s.dy), c.window),
                          c.weight_eps);
    }
    void operator()(const norm_backward_step& s) {
      auto g = ref::norm_relu_backward(this->at(s.x), this->at(s.dy), dims(s.norm.statistics).c,
                                       this->weights_of(s.norm.gamma), this->weights_of(s.norm.beta), s.norm.eps);
      add_gradient(s.norm.gamma, g.dgamma);
      add_gradient(s.norm.beta, g.dbeta);
      if (!s.dx) return;
      if (s.passed) g.dx += this->at(*s.passed);
      this->at(*s.dx) = std::move(g.dx);
    }
    void operator()(const mean_backward_step& s) {
      this->at(s.dx) = ref::spatial_mean_backward(this->at(s.dy), dims(s.dx).h, dims(s.dx).w);
    }
    void operator()(const head_backward_step& s) {
      add_gradient(s.kernel, ref::conv2d_backward_weights(this->at(s.x), this->at(s.dy), {}));
      add_gradient(s.bias, xt::sum(this->at(s.dy), {0, 1, 2}, xt::keep_dims));
      if (s.dx) this->at(*s.dx) = ref::conv2d_backward_data(this->at(s.dy), this->weights_of(s.kernel), {}, 1, 1);
    }
    void operator()(const stem_backward_step& s) {
      const tensor4<T>& dy = this->at(s.dunpooled) =
          ref::max_pool_backward(this->at(s.unpooled), this->at(s.dy), stem_pool);
      if (s.output) take_output(s.dunpooled, *s.output, true);
      if (training.program_.learns(s.kernel))
        add_kernel_gradient(s.kernel, ref::conv2d_backward_weights(this->input_image(), dy, s.window), s.weight_eps);
      if (!s.image_tap || !outputs[*s.image_tap]) return;
      const dims4& d = dims(s.image);
      base::write(ref::conv2d_backward_data(dy, this->weights_of(s.kernel), s.window, d.h, d.w), outputs[*s.image_tap],
                  order);
    }
  };

  training_program program_;
  std::shared_ptr<reference_training_weights<T>> weights_;
  std::shared_ptr<const reference_weights<T>> frozen_;  ///< null: kernels are standardised anew for each run
  memory_plan memory_;
};

}  // namespace detail

template <class T>
struct training_of<reference<T>> {
  using parameters = detail::host_parameters<T>;
  using logits = detail::host_logits<T>;
  using weights = detail::reference_training_weights<T>;
  using plan = detail::reference_training_plan<T>;
  using workspace = typename plan::workspace;

  /// By the multiply-adds alone: xtensor-blas's own loops do about 4 GF/s (one core, 2026-11), and nothing else here is
  /// worth measuring.
  static training_speed speed(const program& forward, const trainable_parameters<T>&, std::size_t) {
    constexpr double flops = 4e9;
    double operations = 0;
    for (const auto& row : summarise(forward)) operations += 2.0 * static_cast<double>(row.macs);
    return {3 * operations / flops, operations / flops, 0};
  }
};

static_assert(recording_backend<reference<float>> && recording_backend<reference<double>>);

}  // namespace bit::inline BIT_ABI
