// SPDX-License-Identifier: Apache-2.0
// By which number of its evaluations a run's best checkpoint is chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <bit/config.hpp>
#include <bit/train/evaluation.hpp>

namespace bit::inline BIT_ABI::train {

/// What is compared. Where classes differ in size, top1 is that of the largest ones; the three after it weigh all alike.
enum class best_metric {
  top1,               ///< part of images whose class is the likeliest
  balanced_accuracy,  ///< mean over the classes of the part of their images that is found
  macro_f1,           ///< mean over the classes of the harmonic mean of precision and recall
  auroc,              ///< area under the ROC curve, see auroc_counter
  loss,               ///< softmax cross-entropy; the smallest is the best
};

/// "top1", "balanced_accuracy", "macro_f1", "auroc" or "loss".
BIT_FUNC const char* to_string(best_metric by);

/// The number itself. Throws config_error for auroc if the evaluation has none: all its images were of one class.
BIT_FUNC double score_of(const evaluation& found, best_metric by);

/// Whether `score` is better than `than`; anything is better than NaN.
BIT_FUNC bool is_better(double score, double than, best_metric by);

/// Collects softmax probabilities and ranks them. One thread at a time; keeps 8 bytes for each image and class.
class auroc_counter {
 public:
  /// Counts a batch of logits (n,classes), row-major, with its labels (n).
  BIT_FUNC void add(std::span<const float> logits, std::span<const std::int64_t> labels, std::size_t classes);
  /// The part of pairs of an image of a class and one of another in which the first has the greater probability of the
  /// class, ties counting half: of two classes the second one's, of more the mean over the classes that have images.
  /// Nothing if all images are of one class. scikit-learn's roc_auc_score(multi_class="ovr", average="macro").
  BIT_FUNC std::optional<double> result() const;

 private:
  std::size_t classes_ = 0;
  std::vector<double> probabilities_;  // (n,classes)
  std::vector<std::int64_t> labels_;
};

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/best_metric.ipp>
#endif
