// SPDX-License-Identifier: Apache-2.0
// Which loss a run is trained with.
#pragma once

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::train {

/// What a step minimises. A data set has one class per image, so both have the same targets, mixed and smoothed alike.
enum class training_loss {
  softmax,  ///< cross-entropy of one distribution over the classes: BiT-HyperRule
  sigmoid,  ///< independent probabilities per class, summed over them, as the 21,843-class models were trained
};

}  // namespace bit::inline BIT_ABI::train
