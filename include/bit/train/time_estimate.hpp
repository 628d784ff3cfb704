// SPDX-License-Identifier: Apache-2.0
// How long a run will take, told before its first step from what the network computes and what this machine can do.
#pragma once

#include <cstddef>

#include <bit/config.hpp>
#include <bit/train/recipe.hpp>

namespace bit::inline BIT_ABI::train {

/// The recipe's seconds on this machine, with options.threads threads, options.eval_every and `validation` images to
/// evaluate on, as the model's backend predicts them (training_of<Backend>::speed; the CPU measures itself for a quarter
/// of a second). Reading images is not in it. Meant for an idle machine; one unlike that which the prediction was fitted
/// on may take half or twice as long.
BIT_FUNC time_estimate estimate_time(const recipe& plan, const fine_tune_options& options, const tunable_model& model,
                                     std::size_t validation = 0);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/time_estimate.ipp>
#endif
