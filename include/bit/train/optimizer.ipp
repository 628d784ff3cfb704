// SPDX-License-Identifier: Apache-2.0
// Bodies of train/optimizer.hpp.
#pragma once

#include <algorithm>
#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/train/optimizer.hpp>
#include <cmath>
#include <utility>

namespace bit::inline BIT_ABI::train {

template <class T>
basic_optimizer<T>::basic_optimizer(trainable_parameters<T>& parameters, const parameter_options& options,
                                    double clip_norm, std::vector<std::string> state)
    : parameters_(parameters.weak_from_this().lock()),
      rules_(resolve(parameters.specs(), options)),
      clip_norm_(clip_norm),
      state_names_(std::move(state)) {
  if (!parameters_)
    throw config_error("[optimizer] expected parameters that a std::shared_ptr owns, as those of a model are");
  if (detail::is_nan(clip_norm) || clip_norm < 0)
    throw config_error("[optimizer] expected a clip_norm of 0 (none) or more, got " + std::to_string(clip_norm));
  for (std::size_t i = 0; i < rules_.size(); ++i)
    if (!rules_[i].frozen && !parameters.learns(i))
      throw config_error("[optimizer] " + parameters.specs()[i].name +
                         " has no gradient, since the model has frozen it: expected it among parameter_options::freeze "
                         "as well, or out of training_options::frozen");
  state_ = parameters_->make_state(state_names_.size(), rules_);
}

template <class T>
std::optional<double> basic_optimizer<T>::step(double rate, std::size_t threads, double gradient_scale) {
  if (!detail::is_non_negative(rate))
    throw config_error("[optimizer] expected a finite learning rate of 0 or more, got " + std::to_string(rate));
  std::optional<double> norm;
  double scale = gradient_scale;
  if (clip_norm_ > 0) {
    norm = gradient_scale * std::sqrt(parameters_->sum_of_squares(rules_, threads));
    if (!detail::is_finite(*norm))
      throw diverged_error("[optimizer] the norm of the gradients is " + std::to_string(*norm) +
                           "; nothing was changed. A lower learning rate, or a longer warm-up, may help");
    scale *= std::min(1.0, clip_norm_ / (*norm + 1e-6));  // 1e-6: torch.nn.utils.clip_grad_norm_
  }
  ++updates_;
  update(*parameters_, *state_, rate, scale, threads);
  return norm;
}

template <class T>
std::vector<optimizer_buffer> basic_optimizer<T>::buffers() const {
  std::vector<optimizer_buffer> all;
  for (std::size_t i = 0; i < rules_.size(); ++i)
    for (std::size_t k = 0; k < state_names_.size() && !rules_[i].frozen; ++k) all.push_back({state_names_[k], k, i});
  return all;
}

template <class T>
std::vector<T> basic_optimizer<T>::values(const optimizer_buffer& part) const {
  std::vector<T> copy(parameters_->specs()[part.parameter].size());
  read(part, copy);
  return copy;
}

template <class T>
std::size_t basic_optimizer<T>::state_bytes() const {
  std::size_t values = 0;
  for (std::size_t i = 0; i < rules_.size(); ++i) values += rules_[i].frozen ? 0 : parameters_->specs()[i].size();
  return values * state_names_.size() * sizeof(T);
}

}  // namespace bit::inline BIT_ABI::train
