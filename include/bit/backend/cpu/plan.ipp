// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/plan.hpp.
#pragma once

#include <bit/backend/cpu/plan.hpp>
#include <bit/backend/cpu/plan_builder.hpp>
#include <bit/backend/cpu/run_operations.hpp>

namespace bit::inline BIT_ABI::detail {

/// Compiles a program for inference over the weights of a frozen model.
template <class T>
struct cpu_plan_builder : cpu_plan_builder_base<T, typename cpu_plan<T>::operation, cpu_plan_builder<T>> {
  using base = cpu_plan_builder_base<T, typename cpu_plan<T>::operation, cpu_plan_builder<T>>;
  using base::operator();
  static constexpr bool keeps_stem_in_float = false;

  cpu_plan_builder(const program& program, cpu_plan<T>& target)
      : base(program, target.operations_),
        weights(*target.weights_),
        packed(target.packed_),
        source(program, weights, packed) {}

  void compile() {
    std::vector<std::shared_ptr<const packed_weights>> before;
    before.swap(packed);  // what the first pass has packed stays alive during the second
    for (const step& s : this->p.steps) std::visit(*this, s);
    // Outputs are copied after the last step, to whose end they live in the memory plan.
    for (std::size_t i = 0; i < this->p.outputs.size(); ++i)
      this->operations.push_back(this->export_of(this->p.outputs[i], i));
  }

  const microkernel_table<T>& microkernels() const { return weights.microkernels(); }
  const packed_weights& vector(parameter_id id) { return source.get(id); }
  const packed_weights& kernel(parameter_id id, double, weight_layout layout) { return source.get(id, layout); }
  const packed_weights& stem_kernel(parameter_id id, double) { return source.get(id); }
  weight_layout forward_layout(const conv_step& s) const { return source.layout_of(s); }

  void operator()(const head_step& s) {
    this->emit(head_operation<T>{&microkernels(), this->images(s.x), this->map(s.x), this->map(s.y),
                                 &source.get(s.kernel), source.get(s.bias).template panel<float>(0)},
               values_of(s));
  }

  const cpu_weights<T>& weights;
  std::vector<std::shared_ptr<const packed_weights>>& packed;
  frozen_weights_source<T> source;
};

template <class T>
cpu_plan<T>::cpu_plan(const program& p, std::shared_ptr<const cpu_weights<T>> weights) : weights_(std::move(weights)) {
  cpu_plan_builder<T> builder(p, *this);
  division_ = builder.build(memory_);
}

template <class T>
std::vector<step_profile> cpu_plan<T>::report(const program& p) const {
  std::vector<step_profile> rows = report_steps(p, memory_.bytes, sizeof(float));
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::visit(
        [&](const auto& o) {
          if constexpr (requires { o.algorithm(); }) rows[i].algorithm = name_of(o.algorithm());
          if constexpr (requires { o.weight_bytes(); }) rows[i].weight_bytes = o.weight_bytes();
        },
        operations_[i]);
  return rows;
}

template <class T>
bool cpu_plan<T>::run(const image_view<float>& image, std::span<float* const> outputs, const workspace& memory,
                      const run_options& options) const {
  run_context context{};
  context.image = image;
  context.outputs = outputs;
  context.output_layout = options.output_layout;
  return run_operations<operation>(operations_, context, division_, memory, options);
}

}  // namespace bit::inline BIT_ABI::detail
