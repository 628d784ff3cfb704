// What all optimizers share: who learns, clipping, named state that a checkpoint keeps. sgd.hpp and adam.hpp do the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <bit/backend/cpu/update.hpp>
#include <bit/config.hpp>
#include <bit/program/trainable_parameter.hpp>
#include <bit/train/parameter_rules.hpp>

namespace bit::inline v0::train {

/// A part of an optimizer's state, e.g. the momentum of one parameter. Not owned.
template <class T>
struct optimizer_buffer {
  std::string buffer, parameter;  ///< "momentum", and the parameter's official name
  std::vector<std::size_t> shape;
  std::span<T> values;
};

/// Changes parameters by their gradients. It keeps views of both, which must stay where they are, and state for those
/// that are not frozen. Results are the same to the bit for any number of threads. One thread at a time. T is float, or
/// double for the reference backend.
template <class T>
class basic_optimizer {
 public:
  virtual ~basic_optimizer() = default;
  basic_optimizer(const basic_optimizer&) = delete;
  basic_optimizer& operator=(const basic_optimizer&) = delete;

  /// One update at learning rate `rate` by the gradients times `gradient_scale`; `threads` 0 means what usable_threads()
  /// says.
  /// Returns the gradients' global norm before clipping if clipping is on. Throws config_error for a negative or
  /// infinite rate, and diverged_error, before anything is changed, if the norm is not finite.
  std::optional<double> step(double rate, std::size_t threads = 0, double gradient_scale = 1);

  /// "sgd", "adam" or "adamw".
  virtual std::string name() const = 0;
  /// Number of updates done, which Adam's bias correction needs. A checkpoint keeps it beside the buffers.
  std::uint64_t updates() const { return updates_; }
  void set_updates(std::uint64_t updates) { updates_ = updates; }
  /// All state, in the order of the parameters.
  std::vector<optimizer_buffer<T>> buffers();
  /// What was decided for each parameter.
  std::span<const parameter_rule> rules() const { return rules_; }

 protected:
  /// `clip_norm` 0 clips nothing; `state` names up to two buffers. Throws what resolve() throws, shape_error if a
  /// parameter that learns has another number of gradients than values, and config_error for a negative clip_norm.
  basic_optimizer(std::span<const trainable_parameter<T>> parameters, const parameter_options& options,
                  double clip_norm, std::vector<std::string> state);

 private:
  virtual void update(std::span<const detail::update_chunk<T>> chunks, double rate, double gradient_scale,
                      std::size_t threads) = 0;

  std::vector<trainable_parameter<T>> parameters_;
  std::vector<parameter_rule> rules_;
  double clip_norm_;
  std::vector<std::string> state_names_;
  std::vector<std::vector<T>> state_;  // of each parameter that learns, its buffers one after the other
  std::vector<detail::update_chunk<T>> chunks_;
  std::uint64_t updates_ = 0;
};

using optimizer = basic_optimizer<float>;

#if !BIT_HEADER_ONLY
extern template class basic_optimizer<float>;
extern template class basic_optimizer<double>;
#endif

}  // namespace bit::inline v0::train

#if BIT_HEADER_ONLY
#include <bit/train/optimizer.ipp>
#endif
