// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/parameters.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/parameters.hpp>
#include <utility>

namespace bit::inline BIT_ABI::detail {

/// Values of T, in whole cache lines, that a parameter of `size` values takes.
template <class T>
std::size_t whole_lines(std::size_t size) {
  constexpr std::size_t line = 64 / sizeof(T);
  return (size + line - 1) / line * line;
}

inline std::vector<tensor_spec> specs_of(std::span<const named_tensor> tensors) {
  std::vector<tensor_spec> specs;
  for (const named_tensor& t : tensors) specs.push_back({t.name, t.shape});
  return specs;
}

template <class T>
std::size_t lines_of(std::span<const tensor_spec> specs) {
  std::size_t total = 0;
  for (const tensor_spec& s : specs) total += whole_lines<T>(s.size());
  return total;
}

/// State of an optimizer: of each parameter that its rules do not freeze, the buffers one after the other.
template <class T>
class host_state final : public optimizer_state<T> {
 public:
  host_state(std::span<const tensor_spec> specs, std::size_t buffers, std::span<const parameter_rule> rules)
      : buffers_(buffers), values_(specs.size()) {
    for (std::size_t i = 0; i < specs.size(); ++i)
      if (!rules[i].frozen) values_[i].resize(buffers * specs[i].size());
  }
  T* at(std::size_t buffer, std::size_t parameter) {
    return buffer < buffers_ ? values_[parameter].data() + buffer * (values_[parameter].size() / buffers_) : nullptr;
  }
  void read(std::size_t buffer, std::size_t parameter, std::span<T> out) const override {
    const auto from = part(buffer, parameter, out.size());
    std::copy_n(values_[parameter].begin() + from, out.size(), out.begin());
  }
  void write(std::size_t buffer, std::size_t parameter, std::span<const T> in) override {
    const auto to = part(buffer, parameter, in.size());
    std::copy(in.begin(), in.end(), values_[parameter].begin() + to);
  }

 private:
  std::ptrdiff_t part(std::size_t buffer, std::size_t parameter, std::size_t size) const {
    if (buffer >= buffers_ || size * buffers_ != values_.at(parameter).size())
      throw shape_error("[optimizer] expected a buffer below " + std::to_string(buffers_) + " of " +
                        std::to_string(buffers_ ? values_.at(parameter).size() / buffers_ : 0) +
                        " values, got buffer " + std::to_string(buffer) + " of " + std::to_string(size));
    return static_cast<std::ptrdiff_t>(buffer * size);
  }
  std::size_t buffers_;
  std::vector<std::vector<T>> values_;
};

template <class T>
host_parameters<T>::host_parameters(std::vector<tensor_spec> specs, std::size_t values)
    : trainable_parameters<T>(std::move(specs)), values_(values) {}

template <class T>
host_parameters<T>::host_parameters(std::span<const named_tensor> tensors)
    : host_parameters(specs_of(tensors), lines_of<T>(specs_of(tensors))) {
  T* next = values_.data();
  for (const named_tensor& t : tensors) {
    const std::span<T> value{next, this->specs()[views_.size()].size()};
    next += whole_lines<T>(value.size());
    t.data->read(value);
    t.data->release();
    views_.push_back({t.name, t.shape, value, {}});
  }
  place_gradients();
}

template <class T>
std::shared_ptr<host_parameters<T>> host_parameters<T>::without_memory(std::vector<tensor_spec> specs) {
  std::size_t largest = 0;
  for (const tensor_spec& s : specs) largest = std::max(largest, s.size());
  std::shared_ptr<host_parameters> made(new host_parameters(std::move(specs), largest));
  for (const tensor_spec& s : made->specs()) {
    const std::span<T> room{made->values_.data(), s.size()};  // the same for all
    made->views_.push_back({s.name, s.shape, room, room});
  }
  return made;
}

template <class T>
void host_parameters<T>::place_gradients() {
  std::size_t total = 0;
  for (std::size_t i = 0; i < views_.size(); ++i) total += this->learns(i) ? whole_lines<T>(views_[i].value.size()) : 0;
  gradients_ = {};  // before the new ones, not beside them
  // A model is made before it is told what learns. Until the first step its gradients take no memory: written, they were
  // 95 MB of R50x1 more than a step that trains the head, in either dtype.
  gradients_ = aligned_buffer<T>::zeros(total);
  T* next = gradients_.data();
  for (std::size_t i = 0; i < views_.size(); ++i) {
    auto& p = views_[i];
    p.gradient = {};
    if (!this->learns(i)) continue;
    p.gradient = {next, p.value.size()};
    next += whole_lines<T>(p.value.size());
  }
}

template <class T>
void host_parameters<T>::zero_gradients() {
  std::fill_n(gradients_.data(), gradients_.size(), T(0));
}

template <class T>
void host_parameters<T>::copy_out(parameter_array what, std::size_t parameter, std::span<T> out) const {
  const auto& p = views_[parameter];
  if (what == parameter_array::values)
    std::copy(p.value.begin(), p.value.end(), out.begin());
  else
    std::copy(p.gradient.begin(), p.gradient.end(), out.begin());
}

template <class T>
void host_parameters<T>::copy_in(parameter_array what, std::size_t parameter, std::span<const T> in) {
  const auto to = what == parameter_array::values ? mutable_values(parameter) : views_[parameter].gradient;
  std::copy(in.begin(), in.end(), to.begin());
}

template <class T>
std::unique_ptr<optimizer_state<T>> host_parameters<T>::new_state(std::size_t buffers,
                                                                  std::span<const parameter_rule> rules) const {
  return std::make_unique<host_state<T>>(this->specs(), buffers, rules);
}

template <class T>
std::vector<update_chunk<T>> host_parameters<T>::chunks_of(std::span<const parameter_rule> rules,
                                                           optimizer_state<T>* state) const {
  std::vector<update_chunk<T>> chunks;
  for (std::size_t i = 0; i < views_.size(); ++i) {
    if (rules[i].frozen || !this->learns(i)) continue;
    const std::span<T> value = mutable_values(i);
    auto* const own = static_cast<host_state<T>*>(state);  // made by new_state()
    T* const first = own ? own->at(0, i) : nullptr;
    T* const second = own ? own->at(1, i) : nullptr;
    for (std::size_t at = 0; at < value.size(); at += update_chunk_size)
      chunks.push_back({value.data() + at, views_[i].gradient.data() + at, first ? first + at : nullptr,
                        second ? second + at : nullptr, std::min(update_chunk_size, value.size() - at),
                        rules[i].rate_scale, rules[i].weight_decay});
  }
  return chunks;
}

template <class T>
double host_parameters<T>::squares(std::span<const parameter_rule> rules, std::size_t threads) const {
  const auto chunks = chunks_of(rules, nullptr);
  return detail::sum_of_squares<T>(chunks, threads);
}

template <class T>
void host_parameters<T>::apply(const sgd_hyperparameters& how, std::span<const parameter_rule> rules,
                               optimizer_state<T>& state, std::size_t threads) {
  const auto chunks = chunks_of(rules, &state);
  sgd_update<T>(chunks, how, threads);
}

template <class T>
void host_parameters<T>::apply(const adam_hyperparameters& how, std::span<const parameter_rule> rules,
                               optimizer_state<T>& state, std::size_t threads) {
  const auto chunks = chunks_of(rules, &state);
  adam_update<T>(chunks, how, threads);
}

template <class T>
void host_logits<T>::resize(std::size_t n, std::size_t classes) {
  n_ = n;
  classes_ = classes;
  logits_.resize(n * classes);
  gradient_.resize(n * classes);
}

template <class T>
void host_logits<T>::read_logits(std::span<T> out) const {
  std::copy(logits_.begin(), logits_.end(), out.begin());
}

template <class T>
void host_logits<T>::write_gradient(std::span<const T> in) {
  std::copy(in.begin(), in.end(), gradient_.begin());
}

}  // namespace bit::inline BIT_ABI::detail
