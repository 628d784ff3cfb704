// SPDX-License-Identifier: Apache-2.0
// Bodies of train/sgd.hpp.
#pragma once

#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/train/sgd.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC void check(const sgd_options& options) {
  if (!detail::is_non_negative(options.momentum) || options.momentum >= 1 ||
      (options.nesterov && options.momentum == 0))
    throw config_error("[sgd] expected a momentum in [0,1), above 0 for Nesterov, got " +
                       std::to_string(options.momentum));
}

template <class T>
basic_sgd<T>::basic_sgd(trainable_parameters<T>& parameters, const sgd_options& options)
    : basic_optimizer<T>(
          parameters, options.parameters, options.clip_norm,
          options.state_buffers() == 0 ? std::vector<std::string>{} : std::vector<std::string>{"momentum"}),
      momentum_(options.momentum),
      nesterov_(options.nesterov) {
  check(options);
}

template <class T>
void basic_sgd<T>::update(trainable_parameters<T>& parameters, optimizer_state<T>& state, double rate,
                          double gradient_scale, std::size_t threads) {
  parameters.update(sgd_hyperparameters{rate, momentum_, nesterov_, gradient_scale}, this->rules(), state, threads);
}

}  // namespace bit::inline BIT_ABI::train
