// Bodies of train/optimizer.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include <bit/error.hpp>
#include <bit/train/optimizer.hpp>

namespace bit::inline v0::detail {

template <class T>
std::vector<tensor_spec> specs_of(std::span<const trainable_parameter<T>> parameters) {
  std::vector<tensor_spec> specs;
  for (const auto& p : parameters) specs.push_back({p.name, p.shape});
  return specs;
}

}  // namespace bit::inline v0::detail

namespace bit::inline v0::train {

template <class T>
basic_optimizer<T>::basic_optimizer(std::span<const trainable_parameter<T>> parameters,
                                    const parameter_options& options, double clip_norm, std::vector<std::string> state)
    : parameters_(parameters.begin(), parameters.end()),
      rules_(resolve(detail::specs_of(parameters), options)),
      clip_norm_(clip_norm),
      state_names_(std::move(state)) {
  if (!(clip_norm >= 0))
    throw config_error("[optimizer] expected a clip_norm of 0 (none) or more, got " + std::to_string(clip_norm));
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (const auto& p = parameters_[i]; !rules_[i].frozen && p.value.size() != p.gradient.size())
      throw shape_error("[optimizer] " + p.name + ": expected as many gradients as values, got " +
                        std::to_string(p.gradient.size()) + " and " + std::to_string(p.value.size()));
  state_.resize(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (rules_[i].frozen) continue;
    const auto& p = parameters_[i];
    const std::size_t size = p.value.size();
    state_[i].resize(size * state_names_.size());
    T* const first = state_names_.empty() ? nullptr : state_[i].data();
    T* const second = state_names_.size() < 2 ? nullptr : state_[i].data() + size;
    for (std::size_t at = 0; at < size; at += detail::update_chunk_size)
      chunks_.push_back({p.value.data() + at, p.gradient.data() + at, first ? first + at : nullptr,
                         second ? second + at : nullptr, std::min(detail::update_chunk_size, size - at),
                         rules_[i].rate_scale, rules_[i].weight_decay});
  }
}

template <class T>
std::optional<double> basic_optimizer<T>::step(double rate, std::size_t threads, double gradient_scale) {
  if (!(rate >= 0) || std::isinf(rate))
    throw config_error("[optimizer] expected a finite learning rate of 0 or more, got " + std::to_string(rate));
  std::optional<double> norm;
  double scale = gradient_scale;
  if (clip_norm_ > 0) {
    norm = gradient_scale * std::sqrt(detail::sum_of_squares<T>(chunks_, threads));
    if (!std::isfinite(*norm))
      throw diverged_error("[optimizer] the norm of the gradients is " + std::to_string(*norm) +
                           "; nothing was changed. A lower learning rate, or a longer warm-up, may help");
    scale *= std::min(1.0, clip_norm_ / (*norm + 1e-6));  // 1e-6: torch.nn.utils.clip_grad_norm_
  }
  ++updates_;
  update(chunks_, rate, scale, threads);
  return norm;
}

template <class T>
std::vector<optimizer_buffer<T>> basic_optimizer<T>::buffers() {
  std::vector<optimizer_buffer<T>> all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::size_t size = parameters_[i].value.size();
    for (std::size_t k = 0; k < state_names_.size() && !rules_[i].frozen; ++k)
      all.push_back({state_names_[k], parameters_[i].name, parameters_[i].shape,
                     std::span<T>(state_[i]).subspan(k * size, size)});
  }
  return all;
}

}  // namespace bit::inline v0::train
