// SPDX-License-Identifier: Apache-2.0
// The optimizer and the loss that a run's options choose: the objects, what a recipe says of them, and their flags.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <bit/backend/loss.hpp>
#include <bit/config.hpp>
#include <bit/train/batch.hpp>
#include <bit/train/optimizer.hpp>

namespace bit::inline BIT_ABI::train {

struct fine_tune_options;  // recipe.hpp, whose bodies include this file
enum class training_loss;

}  // namespace bit::inline BIT_ABI::train

namespace bit::inline BIT_ABI::detail {

/// SGD, Adam or AdamW over the parameters. Throws what their constructors throw.
BIT_FUNC std::unique_ptr<train::optimizer> make_optimizer(trainable_parameters<float>& parameters,
                                                          const train::fine_tune_options& options);

/// Throws config_error for numbers of the optimizer, the loss and the run that cannot be.
BIT_FUNC void check_numbers(const train::fine_tune_options& options);

/// Buffers of state that the chosen optimizer keeps for each parameter.
BIT_FUNC std::size_t state_buffers_of(const train::fine_tune_options& options);

/// The loss of a part of a step, which must outlive it.
BIT_FUNC loss make_loss(const train::micro_batch& batch, train::training_loss kind, double smoothing);

/// Adds a sentence on each thing that is not SGD with momentum 0.9 of all parameters at one rate by softmax.
BIT_FUNC void add_optimizer_departures(std::vector<std::string>& said, const train::fine_tune_options& options);

/// Adds all that changes an update.
BIT_FUNC void add_optimizer_flags(std::map<std::string, std::string>& flags, const train::fine_tune_options& options);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/train/optimizer_choice.ipp>
#endif
