// How good logits are: mean loss, top-1 and top-5, counted over all examples, the last short batch included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <bit/config.hpp>

namespace bit::inline v0::train {

/// The result of an evaluation. All means weigh every example alike.
struct evaluation {
  std::size_t examples = 0;
  double loss = 0;            ///< softmax cross-entropy
  double top1 = 0, top5 = 0;  ///< parts in [0,1]; with fewer than five classes top5 counts them all
};

/// Adds up batches. One thread at a time.
class evaluation_counter {
 public:
  /// Counts a batch of logits (n,classes), row-major, with its labels (n). A label is among the first k if fewer than k
  /// classes come before it; of equal logits the lower class comes first, and a NaN before all. Throws shape_error for
  /// labels that do not fit.
  BIT_FUNC void add(std::span<const float> logits, std::span<const std::int64_t> labels, std::size_t classes);
  /// Means so far; zeros if nothing was added.
  BIT_FUNC evaluation result() const;

 private:
  std::size_t examples_ = 0, first_ = 0, among_five_ = 0;
  double loss_ = 0;
};

}  // namespace bit::inline v0::train

#if BIT_HEADER_ONLY
#include <bit/train/evaluation.ipp>
#endif
