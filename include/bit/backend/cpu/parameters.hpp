// SPDX-License-Identifier: Apache-2.0
// Parameters of a model in training, their optimizers' state and the logits of a batch in the CPU's memory: for the
// backends that compute there, cpu<T> and reference<T>.
#pragma once

#include <bit/backend/cpu/update.hpp>
#include <bit/backend/loss.hpp>
#include <bit/backend/trainable_parameters.hpp>
#include <bit/detail/aligned_buffer.hpp>
#include <bit/program/parameter.hpp>
#include <bit/program/trainable_parameter.hpp>
#include <memory>
#include <span>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// Values and gradients in two buffers, each parameter on cache lines of its own; see trainable_parameters. It is a range
/// of trainable_parameter<T>: views of the memory, which stay valid until freeze() moves the gradients. T is float or
/// double.
template <class T>
class host_parameters final : public trainable_parameters<T> {
 public:
  /// Copies the tensors' values; all parameters learn. Throws what reading the tensors throws.
  explicit host_parameters(std::span<const named_tensor> tensors);
  /// Parameters of these shapes whose values and gradients are never touched, so that they take no memory: for plans that
  /// are made to be measured.
  static std::shared_ptr<host_parameters> without_memory(std::vector<tensor_spec> specs);

  std::span<const trainable_parameter<T>> views() const { return views_; }
  auto begin() const { return views().begin(); }
  auto end() const { return views().end(); }
  const trainable_parameter<T>& operator[](std::size_t i) const { return views_[i]; }
  const trainable_parameter<T>& front() const { return views_.front(); }
  const trainable_parameter<T>& back() const { return views_.back(); }

  /// Lets f(span of T) change the values of a parameter in place.
  template <class F>
  void change_values(std::size_t parameter, const F& f) {
    f(mutable_values(parameter));
    this->values_changed();
  }

  std::span<const T> in_host_memory(std::size_t parameter) const override { return views_.at(parameter).value; }
  void zero_gradients() override;

 private:
  host_parameters(std::vector<tensor_spec> specs, std::size_t values);

  std::span<T> mutable_values(std::size_t i) const {
    return {values_.data() + (views_[i].value.data() - values_.data()), views_[i].value.size()};
  }
  void copy_out(parameter_array what, std::size_t parameter, std::span<T> out) const override;
  void copy_in(parameter_array what, std::size_t parameter, std::span<const T> in) override;
  void place_gradients() override;
  std::unique_ptr<optimizer_state<T>> new_state(std::size_t buffers,
                                                std::span<const parameter_rule> rules) const override;
  double squares(std::span<const parameter_rule> rules, std::size_t threads) const override;
  void apply(const sgd_hyperparameters& how, std::span<const parameter_rule> rules, optimizer_state<T>& state,
             std::size_t threads) override;
  void apply(const adam_hyperparameters& how, std::span<const parameter_rule> rules, optimizer_state<T>& state,
             std::size_t threads) override;
  std::vector<update_chunk<T>> chunks_of(std::span<const parameter_rule> rules, optimizer_state<T>* state) const;

  aligned_buffer<T> values_, gradients_;
  std::vector<trainable_parameter<T>> views_;
};

/// Logits of a batch and dloss/dlogits, both (n,classes), row-major, in the CPU's memory.
template <class T>
class host_logits {
 public:
  /// Makes room for a batch; what was there is lost.
  void resize(std::size_t n, std::size_t classes);
  T* logits() { return logits_.data(); }
  const T* gradient() const { return gradient_.data(); }
  /// Computes `weight`·dloss/dlogits and returns the mean loss, not weighted; throws what the loss throws.
  double evaluate(const loss& what, double weight) {
    return evaluate_loss<T>(what, logits_, gradient_, n_, classes_, weight);
  }
  void read_logits(std::span<T> out) const;
  void write_gradient(std::span<const T> in);

 private:
  std::vector<T> logits_, gradient_;
  std::size_t n_ = 0, classes_ = 0;
};

#if !BIT_HEADER_ONLY
extern template class host_parameters<float>;
extern template class host_parameters<double>;
extern template class host_logits<float>;
extern template class host_logits<double>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/parameters.ipp>
#endif
