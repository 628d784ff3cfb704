// SPDX-License-Identifier: Apache-2.0
// The parameters of a model in training as all backends show them: values, gradients and optimizer state stay in the
// backend's memory; copies of them go to and from the host.
#pragma once

#include <algorithm>
#include <bit/backend/hyperparameters.hpp>
#include <bit/error.hpp>
#include <bit/program/tensor_spec.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bit::inline BIT_ABI {

/// What one optimizer keeps of the parameters that it changes, in the backend's memory: a fixed number of buffers, each
/// with as many values as the parameter. T is float or double. One thread at a time.
template <class T>
class optimizer_state {
 public:
  virtual ~optimizer_state() = default;
  optimizer_state() = default;
  optimizer_state(const optimizer_state&) = delete;
  optimizer_state& operator=(const optimizer_state&) = delete;

  /// Copies a buffer of a parameter to host memory of the parameter's size; parameters count as in the model's.
  virtual void read(std::size_t buffer, std::size_t parameter, std::span<T> out) const = 0;
  /// Copies a buffer of a parameter from host memory of the parameter's size.
  virtual void write(std::size_t buffer, std::size_t parameter, std::span<const T> in) = 0;
};

/// Two arrays belong to each parameter.
enum class parameter_array { values, gradients };

/// Names, shapes, values and gradients of a model's parameters, official names and layouts (kernels HWIO), in the order
/// of execution. Whatever changes values goes through this class, which counts the changes: what a backend derives from
/// the values (packed weights) is made anew by itself. The object is shared by the model and its optimizers, so it lives
/// as long as one of them. T is float or double. One thread at a time.
template <class T>
class trainable_parameters : public std::enable_shared_from_this<trainable_parameters<T>> {
 public:
  virtual ~trainable_parameters() = default;
  trainable_parameters(const trainable_parameters&) = delete;
  trainable_parameters& operator=(const trainable_parameters&) = delete;

  std::span<const tensor_spec> specs() const { return specs_; }
  std::size_t size() const { return specs_.size(); }
  /// The number of the parameter of this name. Throws config_error if there is none.
  std::size_t index_of(const std::string& name) const;
  /// Whether the parameter has a gradient.
  bool learns(std::size_t parameter) const { return !frozen_.contains(specs_.at(parameter).name); }
  const std::set<std::string>& frozen() const { return frozen_; }
  /// Grows with every change of values.
  std::uint64_t version() const { return version_; }
  /// Grows when gradients are moved, which freeze() may do.
  std::uint64_t gradient_version() const { return gradient_version_; }

  /// Copies values or gradients of one parameter to host memory. Throws shape_error if `out` has another size than the
  /// parameter, and config_error for the gradient of a frozen parameter.
  void read(parameter_array what, std::size_t parameter, std::span<T> out) const;
  /// Copies values or gradients of one parameter from host memory; throws as read() does.
  void write(parameter_array what, std::size_t parameter, std::span<const T> in);
  /// A copy of the values of one parameter.
  std::vector<T> values(std::size_t parameter) const { return copy_of(parameter_array::values, parameter); }
  /// A copy of the gradient of one parameter. Throws config_error if it is frozen.
  std::vector<T> gradient(std::size_t parameter) const { return copy_of(parameter_array::gradients, parameter); }
  /// The values where they lie, if that is the CPU's memory; empty otherwise.
  virtual std::span<const T> in_host_memory(std::size_t) const { return {}; }

  virtual void zero_gradients() = 0;
  /// Lets all parameters but those of these names have gradients, which are then zero. Optimizers made before go on with
  /// what still learns. Throws config_error for a name that is no parameter.
  void freeze(const std::set<std::string>& names);

  /// `buffers` arrays of zeros for each parameter that the rules do not freeze. Throws as update() does.
  std::unique_ptr<optimizer_state<T>> make_state(std::size_t buffers, std::span<const parameter_rule> rules) const;
  /// Σ gradient² over all parameters that learn and that the rules do not freeze, in double.
  double sum_of_squares(std::span<const parameter_rule> rules, std::size_t threads) const;
  /// Changes each parameter that learns and that the rules do not freeze. `state` is of this object's make_state(), made
  /// with the same rules. Results are the same to the bit for any number of threads. Throws shape_error unless there is
  /// one rule per parameter.
  void update(const sgd_hyperparameters& how, std::span<const parameter_rule> rules, optimizer_state<T>& state,
              std::size_t threads);
  /// The same for Adam.
  void update(const adam_hyperparameters& how, std::span<const parameter_rule> rules, optimizer_state<T>& state,
              std::size_t threads);

 protected:
  explicit trainable_parameters(std::vector<tensor_spec> specs) : specs_(std::move(specs)) {}
  void values_changed() { ++version_; }

 private:
  virtual void copy_out(parameter_array what, std::size_t parameter, std::span<T> out) const = 0;
  virtual void copy_in(parameter_array what, std::size_t parameter, std::span<const T> in) = 0;
  /// Makes room for the gradients of what learns, all zero, after freeze() has changed it.
  virtual void place_gradients() = 0;
  virtual std::unique_ptr<optimizer_state<T>> new_state(std::size_t buffers,
                                                        std::span<const parameter_rule> rules) const = 0;
  virtual double squares(std::span<const parameter_rule> rules, std::size_t threads) const = 0;
  virtual void apply(const sgd_hyperparameters& how, std::span<const parameter_rule> rules, optimizer_state<T>& state,
                     std::size_t threads) = 0;
  virtual void apply(const adam_hyperparameters& how, std::span<const parameter_rule> rules, optimizer_state<T>& state,
                     std::size_t threads) = 0;

  void check_size(parameter_array what, std::size_t parameter, std::size_t got) const;
  void check_rules(std::span<const parameter_rule> rules) const;
  std::vector<T> copy_of(parameter_array what, std::size_t parameter) const {
    std::vector<T> copy(specs_.at(parameter).size());
    read(what, parameter, copy);
    return copy;
  }

  std::vector<tensor_spec> specs_;
  std::set<std::string> frozen_;
  std::uint64_t version_ = 0, gradient_version_ = 0;
};

template <class T>
std::size_t trainable_parameters<T>::index_of(const std::string& name) const {
  const auto found = std::find_if(specs_.begin(), specs_.end(), [&](const tensor_spec& s) { return s.name == name; });
  if (found == specs_.end())
    throw config_error("[parameters] expected the name of one of this model's " + std::to_string(size()) +
                       " parameters, got \"" + name + "\"");
  return static_cast<std::size_t>(found - specs_.begin());
}

template <class T>
void trainable_parameters<T>::check_size(parameter_array what, std::size_t parameter, std::size_t got) const {
  const tensor_spec& spec = specs_.at(parameter);
  if (got != spec.size())
    throw shape_error("[parameters] " + spec.name + ": expected room for " + std::to_string(spec.size()) +
                      " values, got " + std::to_string(got));
  if (what == parameter_array::gradients && !learns(parameter))
    throw config_error("[parameters] " + spec.name +
                       " is frozen and has no gradient; take it out of training_options::frozen to have one");
}

template <class T>
void trainable_parameters<T>::check_rules(std::span<const parameter_rule> rules) const {
  if (rules.size() != size())
    throw shape_error("[parameters] expected one rule per parameter (" + std::to_string(size()) + "), got " +
                      std::to_string(rules.size()));
}

template <class T>
void trainable_parameters<T>::read(parameter_array what, std::size_t parameter, std::span<T> out) const {
  check_size(what, parameter, out.size());
  copy_out(what, parameter, out);
}

template <class T>
void trainable_parameters<T>::write(parameter_array what, std::size_t parameter, std::span<const T> in) {
  check_size(what, parameter, in.size());
  copy_in(what, parameter, in);
  if (what == parameter_array::values) values_changed();
}

template <class T>
void trainable_parameters<T>::freeze(const std::set<std::string>& names) {
  for (const std::string& name : names) index_of(name);
  if (names == frozen_) return;
  frozen_ = names;
  ++gradient_version_;
  place_gradients();
}

template <class T>
std::unique_ptr<optimizer_state<T>> trainable_parameters<T>::make_state(std::size_t buffers,
                                                                        std::span<const parameter_rule> rules) const {
  check_rules(rules);
  return new_state(buffers, rules);
}

template <class T>
double trainable_parameters<T>::sum_of_squares(std::span<const parameter_rule> rules, std::size_t threads) const {
  check_rules(rules);
  return squares(rules, threads);
}

template <class T>
void trainable_parameters<T>::update(const sgd_hyperparameters& how, std::span<const parameter_rule> rules,
                                     optimizer_state<T>& state, std::size_t threads) {
  check_rules(rules);
  apply(how, rules, state, threads);
  values_changed();
}

template <class T>
void trainable_parameters<T>::update(const adam_hyperparameters& how, std::span<const parameter_rule> rules,
                                     optimizer_state<T>& state, std::size_t threads) {
  check_rules(rules);
  apply(how, rules, state, threads);
  values_changed();
}

}  // namespace bit::inline BIT_ABI
