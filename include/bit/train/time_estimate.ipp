// SPDX-License-Identifier: Apache-2.0
// Bodies of train/time_estimate.hpp.
#pragma once

#include <bit/train/time_estimate.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC time_estimate estimate_time(const recipe& plan, const fine_tune_options& options, const tunable_model& model,
                                     std::size_t validation) {
  const std::size_t side = plan.rule.resolution.crop;
  const training_speed speed = model.speed(side, side, options.threads);
  time_estimate time;
  time.step = static_cast<double>(plan.batch) * speed.image + speed.update;
  time.evaluation = static_cast<double>(validation) * speed.inference;
  const std::size_t evaluations =
      options.eval_every == 0 ? 1 : (plan.steps + options.eval_every - 1) / options.eval_every;
  time.total = static_cast<double>(plan.steps) * time.step + static_cast<double>(evaluations) * time.evaluation;
  return time;
}

}  // namespace bit::inline BIT_ABI::train
