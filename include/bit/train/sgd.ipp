// Bodies of train/sgd.hpp.
#pragma once

#include <bit/error.hpp>
#include <bit/train/sgd.hpp>

namespace bit::inline v0::train {

template <class T>
basic_sgd<T>::basic_sgd(std::span<const trainable_parameter<T>> parameters, const sgd_options& options)
    : basic_optimizer<T>(parameters, options.parameters, options.clip_norm,
                         options.momentum == 0 ? std::vector<std::string>{} : std::vector<std::string>{"momentum"}),
      momentum_(options.momentum),
      nesterov_(options.nesterov) {
  if (!(momentum_ >= 0 && momentum_ < 1) || (nesterov_ && momentum_ == 0))
    throw config_error("[sgd] expected a momentum in [0,1), above 0 for Nesterov, got " + std::to_string(momentum_));
}

template <class T>
void basic_sgd<T>::update(std::span<const detail::update_chunk<T>> chunks, double rate, double gradient_scale,
                          std::size_t threads) {
  detail::sgd_update<T>(chunks, {rate, momentum_, nesterov_, gradient_scale}, threads);
}

}  // namespace bit::inline v0::train
