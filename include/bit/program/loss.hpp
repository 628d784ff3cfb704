// What turns a batch's logits into one number to be made small. The losses themselves stand in train/loss.hpp.
#pragma once

#include <cstddef>
#include <span>

namespace bit::inline v0 {

/// A loss over a batch of logits (n,classes), row-major. A call changes nothing in the object, so that several threads
/// may share one.
template <class T>
struct loss_function {
  virtual ~loss_function() = default;
  /// Returns the mean loss of the batch and writes its derivative by each logit to `gradient`, of the logits' size.
  /// Throws shape_error if the batch does not fit what the loss compares with.
  virtual double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                            std::size_t classes) const = 0;
};

}  // namespace bit::inline v0
