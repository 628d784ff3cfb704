// SPDX-License-Identifier: Apache-2.0
// How good logits are: mean loss, top-1 and top-5, counted over all examples, the last short batch included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::train {

/// What one image shows and what the network took it for.
struct label_pair {
  std::int64_t label = 0, predicted = 0;
  friend bool operator==(const label_pair&, const label_pair&) = default;
};

/// The result of an evaluation. All means weigh every example alike.
struct evaluation {
  std::size_t examples = 0;
  double loss = 0;                     ///< softmax cross-entropy
  double top1 = 0, top5 = 0;           ///< parts in [0,1]; with fewer than five classes top5 counts them all
  std::vector<label_pair> pairs = {};  ///< of every example in order, if the counter was to keep them
  double balanced_accuracy = 0;        ///< mean over the classes that have examples of the part of them that is found
  /// Mean over the classes that have examples or were predicted of the harmonic mean of precision and recall.
  double macro_f1 = 0;
  std::optional<double> auroc = {};  ///< area under the ROC curve, if an auroc_counter was asked for it
};

/// Adds up batches. One thread at a time.
class evaluation_counter {
 public:
  explicit evaluation_counter(bool keep_pairs = false) : keep_pairs_(keep_pairs) {}
  /// Counts a batch of logits (n,classes), row-major, with its labels (n). A label is among the first k if fewer than k
  /// classes come before it; of equal logits the lower class comes first, and a NaN before all. Throws shape_error for
  /// labels that do not fit.
  BIT_FUNC void add(std::span<const float> logits, std::span<const std::int64_t> labels, std::size_t classes);
  /// Means so far; zeros if nothing was added.
  BIT_FUNC evaluation result() const;

 private:
  std::size_t examples_ = 0, first_ = 0, among_five_ = 0;
  double loss_ = 0;
  bool keep_pairs_;
  std::vector<label_pair> pairs_;
  struct class_counts {
    std::size_t examples = 0, predicted = 0, found = 0;
  };
  std::vector<class_counts> classes_;
};

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/evaluation.ipp>
#endif
