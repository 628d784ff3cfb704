// SPDX-License-Identifier: Apache-2.0
// Compiles a training program over parameters that learn: each backward step into one to three operations. Included by
// training.ipp.
#pragma once

#include <bit/backend/cpu/backward_builder.hpp>
#include <bit/backend/cpu/training.hpp>

namespace bit::inline BIT_ABI::detail {

/// Kernels are packed anew whenever values have changed: those of the forward pass by cpu_training_weights, those of the
/// backward pass by an operation right before they are read.
template <class T>
class cpu_training_builder : public cpu_backward_builder<T, cpu_training_builder<T>> {
 public:
  using base = cpu_backward_builder<T, cpu_training_builder<T>>;
  using base::operator();

  cpu_training_builder(const training_program& compiled, cpu_training_weights<T>& of, compiled_training<T>& into)
      : base(compiled, into), weights(of) {}

  const microkernel_table<T>& microkernels() const { return weights.microkernels(); }
  const backward_map_microkernel_table<T>& backward_map_microkernels() const {
    return weights.backward_map_microkernels();
  }
  const packed_weights& vector(parameter_id id) { return weights.vector(p[id]); }
  const packed_weights& kernel(parameter_id id, double eps, weight_layout layout) {
    return weights.kernel(p[id], eps, kernel_use::forward, layout);
  }
  const packed_weights& stem_kernel(parameter_id id, double eps) {
    return weights.kernel(p[id], eps, kernel_use::stem);
  }
  weight_layout forward_layout(const conv_step& s) {
    return this->repacked_layout(s.main.kernel, p[s.main.x].dims, weight_layout::winograd_2x2);
  }
  std::pair<value_id, weights_ref> transposed_kernel(const backward_source& s, weight_layout layout) {
    const packed_layout kernel = weights.layout_of(p[s.kernel], s.weight_eps, kernel_use::transposed, layout);
    const auto [id, at] = this->array(kernel.panels * kernel.panel_size * sizeof(T));
    this->emit(pack_operation<T>{&weights, kernel, at}, this->touching({}, {id}));
    return {id, {at.offset, kernel.panel_size, kernel.panels}};
  }
  values_ref head_kernel(parameter_id id, step_values&) { return {weights.at(p[id]).value.data(), {}}; }
  std::span<float> gradient(parameter_id id) const {
    return this->training.learns(id) ? weights.at(p[id]).gradient : std::span<float>{};
  }

  void operator()(const head_step& s) {
    this->emit(head_operation<float>{&weights.float_microkernels(), this->images(s.x), this->map(s.x), this->map(s.y),
                                     &weights.kernel(p[s.kernel], 0, kernel_use::head),
                                     weights.vector(p[s.bias]).template panel<float>(0)},
               values_of(s));
  }
  void learn_kernel(const backward_weights_step& s) {
    const auto& shape = p[s.source.kernel].shape;
    const auto [id, place] =
        kernel_gradient({shape[0] * shape[1], shape[2], blocks_of(shape[2]) * block, shape[3], s.source.weight_eps});
    step_values values = values_of(s);
    values.writes.push_back(id);
    const conv_input read{this->map(s.source.x), this->norm(s.source.input), {}, s.source.window};
    emit_contraction(this->images(s.dy), read, this->map(s.dy), place, std::move(values));
    emit_standardise_backward(s.source.kernel, id, place);
  }
  void learn_stem(const stem_backward_step& s) {
    const auto& shape = p[s.kernel].shape;
    const std::size_t rows = shape[0] * shape[1] * shape[2];
    const auto [id, place] = kernel_gradient({1, rows, rows, shape[3], s.weight_eps});
    this->emit(stem_backward_weights_operation(weights.backward_microkernels(), p[s.image].dims, s.window,
                                               this->map(s.dunpooled), place),
               this->touching({s.dunpooled}, {id}));
    emit_standardise_backward(s.kernel, id, place);
  }

 private:
  using base::p;

  /// The place for a standardised kernel's gradient, and its number in `flow`.
  std::pair<value_id, kernel_gradient_ref> kernel_gradient(const packing& how) {
    kernel_gradient_ref place{{}, how, microkernels().tile_columns};
    const auto [id, at] = this->array(place.bytes());
    static_cast<array_ref&>(place) = at;
    return {id, place};
  }
  /// What takes a standardised kernel's gradient to the parameter's.
  void emit_standardise_backward(parameter_id kernel, value_id id, const kernel_gradient_ref& place) {
    this->emit(standardise_backward_operation{&weights.backward_microkernels(), place, &weights.at(p[kernel]),
                                              &weights.standardised(p[kernel])},
               this->touching({id}, {}));
  }
  void emit_contraction(std::size_t count, const conv_input& in, const feature_map_ref& dy,
                        const kernel_gradient_ref& place, step_values values) {
    if constexpr (!std::same_as<T, float>)
      if (const backward_pair_microkernel_table* pairs = backward_pair_microkernels_of<T>(weights.isa()))
        return this->emit(backward_weights_pairs_operation(microkernels(), *pairs, count, in, dy, place),
                          std::move(values));
    this->emit(backward_weights_operation<T>(microkernels(), weights.backward_microkernels(), count, in, dy, place),
               std::move(values));
  }

  cpu_training_weights<T>& weights;
};

}  // namespace bit::inline BIT_ABI::detail
