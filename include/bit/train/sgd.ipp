// SPDX-License-Identifier: Apache-2.0
// Bodies of train/sgd.hpp.
#pragma once

#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/train/sgd.hpp>

namespace bit::inline BIT_ABI::train {

template <class T>
basic_sgd<T>::basic_sgd(trainable_parameters<T>& parameters, const sgd_options& options)
    : basic_optimizer<T>(
          parameters, options.parameters, options.clip_norm,
          options.state_buffers() == 0 ? std::vector<std::string>{} : std::vector<std::string>{"momentum"}),
      momentum_(options.momentum),
      nesterov_(options.nesterov) {
  if (!detail::is_non_negative(momentum_) || momentum_ >= 1 || (nesterov_ && momentum_ == 0))
    throw config_error("[sgd] expected a momentum in [0,1), above 0 for Nesterov, got " + std::to_string(momentum_));
}

template <class T>
void basic_sgd<T>::update(trainable_parameters<T>& parameters, optimizer_state<T>& state, double rate,
                          double gradient_scale, std::size_t threads) {
  parameters.update(sgd_hyperparameters{rate, momentum_, nesterov_, gradient_scale}, this->rules(), state, threads);
}

}  // namespace bit::inline BIT_ABI::train
