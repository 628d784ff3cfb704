// Bodies of train/sgd.hpp.
#pragma once

#include <bit/error.hpp>
#include <bit/train/sgd.hpp>

namespace bit::inline v0::train {

BIT_FUNC sgd::sgd(std::span<const trainable_parameter<float>> parameters, const sgd_options& options)
    : optimiser(parameters, options.parameters, options.clip_norm,
                options.momentum == 0 ? std::vector<std::string>{} : std::vector<std::string>{"momentum"}),
      momentum_(options.momentum),
      nesterov_(options.nesterov) {
  if (!(momentum_ >= 0 && momentum_ < 1) || (nesterov_ && momentum_ == 0))
    throw config_error("[sgd] expected a momentum in [0,1), above 0 for Nesterov, got " + std::to_string(momentum_));
}

BIT_FUNC void sgd::update(std::span<const detail::update_chunk> chunks, double rate, double gradient_scale,
                          std::size_t threads) {
  detail::sgd_update(chunks, {rate, momentum_, nesterov_, gradient_scale}, threads);
}

}  // namespace bit::inline v0::train
