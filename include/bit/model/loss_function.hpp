// SPDX-License-Identifier: Apache-2.0
// A loss of the caller's own. backend/loss.hpp has those that backends compute where the logits are.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <span>

namespace bit::inline BIT_ABI {

/// Turns the logits of a batch into its mean loss, in host memory: logits come down and their gradient goes back, n·classes
/// values each. T is float or double.
template <class T>
struct loss_function {
  virtual ~loss_function() = default;
  /// Writes dloss/dlogits to `gradient` and returns the mean loss of the `n` images. `logits` and `gradient` are
  /// (n,classes), row-major, and do not overlap. May throw; the step is then abandoned.
  virtual double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                            std::size_t classes) const = 0;
};

}  // namespace bit::inline BIT_ABI
