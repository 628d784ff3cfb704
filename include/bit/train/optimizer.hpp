// SPDX-License-Identifier: Apache-2.0
// What all optimizers share: who learns, clipping, named state that a checkpoint keeps. sgd.hpp and adam.hpp do the rest.
#pragma once

#include <bit/backend/trainable_parameters.hpp>
#include <bit/config.hpp>
#include <bit/train/parameter_rules.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI::train {

/// Which part of an optimizer's state a buffer is, e.g. the momentum of one parameter.
struct optimizer_buffer {
  std::string name;                       ///< "momentum", "mean" or "square"
  std::size_t number = 0, parameter = 0;  ///< of the buffer, and of the parameter in the model
};

/// Changes a model's parameters by their gradients. It shares the parameters with the model, so it may outlive the model,
/// and the model may change what learns: a parameter without a gradient is left as it is. It keeps state, in the
/// backend's memory, for those that its own rules do not freeze. Results are the same to the bit for any number of
/// threads. One thread at a time. T is float, or double for the reference backend.
template <class T>
class basic_optimizer {
 public:
  virtual ~basic_optimizer() = default;
  basic_optimizer(const basic_optimizer&) = delete;
  basic_optimizer& operator=(const basic_optimizer&) = delete;

  /// One update at learning rate `rate` by the gradients times `gradient_scale`; `threads` 0 means what usable_threads()
  /// says. Returns the gradients' global norm before clipping if clipping is on. Throws config_error for a negative or
  /// infinite rate, and diverged_error, before anything is changed, if the norm is not finite.
  std::optional<double> step(double rate, std::size_t threads = 0, double gradient_scale = 1);

  /// "sgd", "adam" or "adamw".
  virtual std::string name() const = 0;
  trainable_parameters<T>& parameters() const { return *parameters_; }
  /// Number of updates done, which Adam's bias correction needs. A checkpoint keeps it beside the buffers.
  std::uint64_t updates() const { return updates_; }
  void set_updates(std::uint64_t updates) { updates_ = updates; }
  /// What was decided for each parameter.
  std::span<const parameter_rule> rules() const { return rules_; }

  /// All parts of the state, in the order of the parameters.
  std::vector<optimizer_buffer> buffers() const;
  /// Copies a part of the state to or from host memory of the parameter's size.
  void read(const optimizer_buffer& part, std::span<T> out) const { state_->read(part.number, part.parameter, out); }
  void write(const optimizer_buffer& part, std::span<const T> in) { state_->write(part.number, part.parameter, in); }
  /// A copy of a part of the state.
  std::vector<T> values(const optimizer_buffer& part) const;
  /// Bytes of all state.
  std::size_t state_bytes() const;

 protected:
  /// `clip_norm` 0 clips nothing; `state` names up to two buffers. Throws what resolve() throws, and config_error for a
  /// negative clip_norm, for parameters that the model has frozen but the options do not, and for parameters that no
  /// std::shared_ptr owns.
  basic_optimizer(trainable_parameters<T>& parameters, const parameter_options& options, double clip_norm,
                  std::vector<std::string> state);

 private:
  virtual void update(trainable_parameters<T>& parameters, optimizer_state<T>& state, double rate,
                      double gradient_scale, std::size_t threads) = 0;

  std::shared_ptr<trainable_parameters<T>> parameters_;
  std::vector<parameter_rule> rules_;
  double clip_norm_;
  std::vector<std::string> state_names_;
  std::unique_ptr<optimizer_state<T>> state_;
  std::uint64_t updates_ = 0;
};

using optimizer = basic_optimizer<float>;

#if !BIT_HEADER_ONLY
extern template class basic_optimizer<float>;
extern template class basic_optimizer<double>;
#endif

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/optimizer.ipp>
#endif
