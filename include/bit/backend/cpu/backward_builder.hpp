// SPDX-License-Identifier: Apache-2.0
// The operations of a backward pass through feature maps: what training and the gradients of a frozen model share.
#pragma once

#include <bit/backend/cpu/plan_builder.hpp>
#include <bit/backend/cpu/training_operation.hpp>

namespace bit::inline BIT_ABI::detail {

/// Compiles a training program; see cpu_plan_builder_base. `Builder` gives besides
///  - backward_map_microkernels(): the table of norms and pools, for T;
///  - transposed_kernel(source, layout): emits what makes a kernel for a backward-data pass in the arena, and returns
///    its number in `flow` and its place;
///  - head_kernel(id): emits what makes the classifier's kernel readable as it is stored, if that is needed, and returns
///    where it is and its numbers in `flow`;
///  - gradient(id): where a parameter's gradient is added, empty for a frozen one;
///  - learn_kernel(step), learn_stem(step): what adds a kernel's gradient.
template <class T, class Builder>
class cpu_backward_builder : public cpu_plan_builder_base<T, training_operation<T>, Builder> {
 public:
  using base = cpu_plan_builder_base<T, training_operation<T>, Builder>;
  using base::operator();
  static constexpr bool keeps_stem_in_float = true;  ///< where pixels do not tie before the pool

  cpu_backward_builder(const training_program& compiled, compiled_training<T>& into)
      : base(compiled.forward, into.operations), training(compiled), target(into) {}

  void build_training() {
    target.taps = training.taps;
    target.division = this->build(target.memory, training.logits_gradient);
    if (training.from_outputs && !training.logits_gradient) return;
    const value_id matrix = training.from_outputs ? *training.logits_gradient : p.outputs.front();
    target.images = p[matrix].dims.n;
    target.classes = p[matrix].dims.c;
    if (!training.from_outputs) target.logits = this->map(matrix);
    for (std::size_t i = 0; i < p.outputs.size() && training.from_outputs; ++i)
      if (p.outputs[i] == std::get<head_step>(p.steps.back()).y) target.logits_output = i;
  }
  void compile() {
    for (const step& s : p.steps) std::visit(self(), s);
    for (std::size_t i = 0; i < p.outputs.size() && training.from_outputs; ++i)
      this->emit(this->export_of(p.outputs[i], i), this->touching({p.outputs[i]}, {}));
    target.forward_operations = target.operations.size();
    for (const backward_step& s : training.backward) std::visit(self(), s);
  }

  void operator()(const recomputed_step& s) { std::visit(self(), s.forward); }
  void operator()(const gradient_tap_step& s) { this->emit(this->export_of(s.gradient, s.tap), values_of(s)); }
  void operator()(const output_gradient_step& s) { take_output(s.gradient, s.output, s.adds); }
  void operator()(const head_backward_step& s) {
    step_values values = values_of(s);
    const values_ref kernel = self().head_kernel(s.kernel, values);
    this->emit(
        head_backward_operation{this->images(s.x), p[s.x].dims.c, p[s.dy].dims.c, this->map(s.x),
                                this->optional_map(s.dx), kernel, self().gradient(s.kernel), self().gradient(s.bias)},
        std::move(values));
  }
  void operator()(const mean_backward_step& s) {
    this->emit(mean_backward_operation<T>{this->images(s.dx), this->map(s.dy), this->map(s.dx)}, values_of(s));
  }
  void operator()(const norm_backward_step& s) {
    const std::size_t blocks = this->map(s.x).blocks;
    const auto [id, at] = this->array(this->images(s.x) * blocks * 2 * block * sizeof(double));
    const channel_sums channels{at, blocks};
    norm_backward_operation<T> op(self().backward_map_microkernels(), this->images(s.x), this->map(s.x),
                                  this->norm(s.norm), this->map(s.dy), this->optional_map(s.dx), channels);
    if (s.passed) op.add_passed(this->map(*s.passed));
    step_values values = values_of(s);
    values.writes.push_back(id);
    this->emit(op, std::move(values));
    if (!training.learns(s.norm.gamma) && !training.learns(s.norm.beta)) return;
    this->emit(norm_parameters_operation{this->images(s.x), p[s.x].dims.c, channels, self().gradient(s.norm.gamma),
                                         self().gradient(s.norm.beta)},
               this->touching({id}, {}));
  }
  void operator()(const backward_weights_step& s) { self().learn_kernel(s); }

  void operator()(const backward_data_step& s) {
    const dims4& d = p[s.dx].dims;
    feature_map_ref dy = this->map(s.main.dy);
    value_id read = s.main.dy;
    if (s.main.window.stride > 1) {
      const window w{s.main.window.size, 1, s.main.window.padding, s.main.window.dilation};
      const auto [id, place] = this->own_map({d.n, p[s.main.dy].dims.c, w.out(d.h), w.out(d.w)});
      this->emit(zero_insertion_operation<T>{d.n, s.main.window.stride, dy, place}, this->touching({read}, {id}));
      dy = place;
      read = id;
    }
    step_values values = this->touching({read}, {s.dx});
    if (turned(s.main.window) == window{3, 1, 1, 1} && !s.projection) {
      const weight_layout layout =
          repacked_layout(s.main.kernel, {d.n, p[s.main.dy].dims.c, d.h, d.w}, weight_layout::winograd_4x4);
      if (layout != weight_layout::direct) {
        winograd_operation<T> op(self().microkernels(), d.n, this->map(s.dx), back(s.main, dy, values, layout),
                                 this->tile_of(layout));
        return this->emit(op, std::move(values));
      }
    }
    conv_operation<T> op(self().microkernels(), d.n, this->map(s.dx), back(s.main, dy, values));
    if (!s.projection) return this->emit(std::move(op), std::move(values));
    if (s.projection->window.stride == 1) {
      op.add_projection(back(*s.projection, this->map(s.projection->dy), values));
      values.reads.push_back(s.projection->dy);
      return this->emit(std::move(op), std::move(values));
    }
    // Back through the projection at its own, smaller size, then to the pixels that it has read.
    const dims4& small = p[s.projection->dy].dims;
    this->emit(std::move(op), std::move(values));
    const auto [id, place] = this->own_map({d.n, d.c, small.h, small.w});
    step_values projected = this->touching({s.projection->dy}, {id});
    conv_operation<T> projection(self().microkernels(), d.n, place,
                                 back(*s.projection, this->map(s.projection->dy), projected));
    this->emit(std::move(projection), std::move(projected));
    this->emit(scatter_operation<T>{d.n, s.projection->window.stride, place, this->map(s.dx)},
               this->touching({id}, {s.dx}));
  }

  void operator()(const stem_backward_step& s) {
    const dims4& d = p[s.image].dims;
    this->in_float[static_cast<std::size_t>(s.dunpooled)] = true;
    this->emit(max_pool_backward_operation<T>{&self().backward_map_microkernels(), d.n, this->map(s.unpooled),
                                              this->map(s.dy), this->map(s.dunpooled)},
               this->touching({s.unpooled, s.dy}, {s.dunpooled}));
    if (s.output) take_output(s.dunpooled, *s.output, true);
    if (training.learns(s.kernel)) self().learn_stem(s);
    if (s.image_tap)
      this->emit(
          image_backward_operation{d, s.window, this->map(s.dunpooled), &self().stem_kernel(s.kernel, s.weight_eps),
                                   self().microkernels().tile_columns, *s.image_tap},
          this->touching({s.dunpooled}, {}));
  }

 protected:
  using base::p;
  using base::self;

  /// Takes the caller's gradient of an output.
  void take_output(value_id gradient, std::size_t output, bool adds) {
    const value& v = p[gradient];
    const bool matrix = v.kind == value_kind::matrix;
    this->emit(import_operation<T>{this->map(gradient), matrix || this->in_float[static_cast<std::size_t>(gradient)],
                                   matrix, v.dims.n, v.dims.c, output, adds},
               values_of(output_gradient_step{gradient, output, adds}));
  }

  /// Tiles of 4x4 are left to the backward pass: in the forward pass their larger rounding errors make more ReLUs open
  /// that should close, and each one that does is an error of a per cent in gradients.
  weight_layout repacked_layout(parameter_id kernel, const dims4& x, weight_layout largest) {
    const auto& shape = p[kernel].shape;
    return choose_repacked_layout({x.n, x.h, x.w, shape[2], shape[3]}, largest, self().microkernels());
  }
  /// The convolution that takes dy back: the same window turned round, of stride 1. Emits what makes its kernel, which
  /// `values` then read.
  conv_input back(const backward_source& s, const feature_map_ref& dy, step_values& values,
                  weight_layout layout = weight_layout::direct) {
    const auto [id, kernel] = self().transposed_kernel(s, layout);
    values.reads.push_back(id);
    return {dy, {}, kernel, turned(s.window)};
  }
  static window turned(const window& w) { return {w.size, 1, w.reach() - 1 - w.padding, w.dilation}; }

  const training_program& training;
  compiled_training<T>& target;
};

}  // namespace bit::inline BIT_ABI::detail
