// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/gradients.hpp.
#pragma once

#include <bit/backend/cpu/backward_builder.hpp>
#include <bit/backend/cpu/gradients.hpp>
#include <bit/backend/cpu/isa/backward_dispatch.hpp>
#include <bit/backend/cpu/packed_weights.ipp>
#include <cstdint>

namespace bit::inline BIT_ABI::detail {

/// The instruction set that a frozen model's weights were packed for.
template <class T>
instruction_set instruction_set_of(const microkernel_table<T>& table) {
  for (const std::string& name : available_isas())
    if (&microkernels_of<T>(instruction_set_of(name)) == &table) return instruction_set_of(name);
  throw config_error("[cpu] expected weights packed for an instruction set of this machine");
}

/// Compiles a training program of which nothing learns over the weights of a frozen model.
template <class T>
class cpu_gradient_builder : public cpu_backward_builder<T, cpu_gradient_builder<T>> {
 public:
  using base = cpu_backward_builder<T, cpu_gradient_builder<T>>;
  using base::operator();

  cpu_gradient_builder(const training_program& compiled, const cpu_weights<T>& of,
                       std::vector<std::shared_ptr<const packed_weights>>& packed, compiled_training<T>& into)
      : base(compiled, into),
        isa_(instruction_set_of(of.microkernels())),
        weights_(of),
        packed_(packed),
        source_(compiled.forward, of, packed) {}

  void compile() {
    std::vector<std::shared_ptr<const packed_weights>> before;
    before.swap(packed_);  // what the first pass has packed stays alive during the second
    base::compile();
  }

  const microkernel_table<T>& microkernels() const { return weights_.microkernels(); }
  const backward_map_microkernel_table<T>& backward_map_microkernels() const {
    return backward_map_microkernels_of<T>(isa_);
  }
  const packed_weights& vector(parameter_id id) { return source_.get(id); }
  const packed_weights& kernel(parameter_id id, double, weight_layout layout) { return source_.get(id, layout); }
  const packed_weights& stem_kernel(parameter_id id, double) { return source_.get(id); }
  weight_layout forward_layout(const conv_step& s) const { return source_.layout_of(s); }
  std::span<float> gradient(parameter_id) const { return {}; }
  void learn_kernel(const backward_weights_step& s) const { refuse(s.source.kernel); }
  void learn_stem(const stem_backward_step& s) const { refuse(s.kernel); }

  void operator()(const head_step& s) {
    this->emit(head_operation<T>{&microkernels(), this->images(s.x), this->map(s.x), this->map(s.y),
                                 &source_.get(s.kernel), source_.get(s.bias).template panel<float>(0)},
               values_of(s));
  }

  values_ref head_kernel(parameter_id id, step_values& values) {
    const found_values found = find_values(p[id]);
    values.reads.insert(values.reads.end(), found.ids.begin(), found.ids.end());
    if (found.read && found.read->in_parts()) {  // measured for its checksums alone
      const auto [measured, unused] = measure(p[id], 0, found);
      values.reads.push_back(measured);
    }
    return found.at;
  }
  std::pair<value_id, weights_ref> transposed_kernel(const backward_source& s, weight_layout layout) {
    const named_tensor& tensor = p[s.kernel];
    const found_values found = find_values(tensor);
    const auto [measured, how] = measure(tensor, s.weight_eps, found);
    const transposed_layout packed =
        transposed_layout_of(tensor.shape, s.weight_eps, layout, microkernels().tile_columns);
    const auto [id, at] = this->array(packed.panels * packed.panel_size * sizeof(T));
    std::vector<value_id> reads = found.ids;
    reads.push_back(measured);
    this->emit(pack_transposed_operation<T>{&microkernels(), packed, found.at, how.to, how.padded(), at},
               this->touching(std::move(reads), {id}));
    return {id, {at.offset, packed.panel_size, packed.panels}};
  }

 private:
  using base::p;

  /// Where a tensor's values are, the numbers in `flow` of what holds them, and what reads them.
  struct found_values {
    values_ref at;
    std::vector<value_id> ids;
    std::optional<read_values_operation> read;
  };

  [[noreturn]] void refuse(parameter_id id) const {
    throw config_error("[cpu] expected a program in which no parameter of the frozen model learns, got one for " +
                       p[id].name);
  }
  /// In place, or in the arena by an operation that is emitted here.
  found_values find_values(const named_tensor& tensor) {
    const std::span<const std::byte> mapped =
        tensor.data->has_parts() ? std::span<const std::byte>{} : tensor.data->bytes();
    if (!mapped.empty() && reinterpret_cast<std::uintptr_t>(mapped.data()) % alignof(float) == 0)
      return {{reinterpret_cast<const float*>(mapped.data()), {}}, {}, {}};
    read_values_operation read{tensor.data.get(), tensor.size(), {}, {}};
    const auto [copy, at] = this->array(tensor.size() * sizeof(float));
    const auto [sums_id, checksums] = this->array(read.max_items() * sizeof(std::uint32_t));
    read.to = at;
    read.checksums = checksums;
    this->emit(read, this->touching({}, {copy, sums_id}));
    return {{nullptr, at}, {copy, sums_id}, read};
  }
  std::pair<value_id, measure_kernel_operation<T>> measure(const named_tensor& tensor, double eps,
                                                           const found_values& found) {
    const std::size_t columns = tensor.shape.back();
    measure_kernel_operation<T> op{
        &microkernels_of<float>(isa_), found.at, tensor.size() / columns, columns, eps, {}, found.read};
    const auto [id, at] = this->array(2 * op.padded() * sizeof(double));
    op.to = at;
    this->emit(op, this->touching(found.ids, {id}));
    return {id, op};
  }

  instruction_set isa_;
  const cpu_weights<T>& weights_;
  std::vector<std::shared_ptr<const packed_weights>>& packed_;
  frozen_weights_source<T> source_;
};

template <class T>
cpu_gradient_plan<T>::cpu_gradient_plan(const training_program& p, std::shared_ptr<const cpu_weights<T>> weights)
    : weights_(std::move(weights)), parameters_(p.forward.parameters) {
  cpu_gradient_builder<T>(p, *weights_, packed_, compiled_).build_training();
}

}  // namespace bit::inline BIT_ABI::detail
