// SPDX-License-Identifier: Apache-2.0
// Bodies of train/adam.hpp.
#pragma once

#include <cmath>

#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/train/adam.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC void check(const adam_options& options) {
  const auto is_beta = [](double b) { return detail::is_non_negative(b) && b < 1; };
  if (!is_beta(options.beta1) || !is_beta(options.beta2) || !detail::is_non_negative(options.eps))
    throw config_error("[adam] expected betas in [0,1) and eps of 0 or more, got " + std::to_string(options.beta1) +
                       ", " + std::to_string(options.beta2) + " and " + std::to_string(options.eps));
}

template <class T>
basic_adam<T>::basic_adam(trainable_parameters<T>& parameters, const adam_options& options)
    : basic_optimizer<T>(parameters, options.parameters, options.clip_norm, {"mean", "square"}), options_(options) {
  check(options);
}

template <class T>
void basic_adam<T>::update(trainable_parameters<T>& parameters, optimizer_state<T>& state, double rate,
                           double gradient_scale, std::size_t threads) {
  const auto t = static_cast<double>(this->updates());
  const adam_hyperparameters how{rate,
                                 options_.beta1,
                                 options_.beta2,
                                 options_.eps,
                                 options_.decoupled,
                                 1 - std::pow(options_.beta1, t),
                                 1 - std::pow(options_.beta2, t),
                                 gradient_scale};
  parameters.update(how, this->rules(), state, threads);
}

}  // namespace bit::inline BIT_ABI::train
