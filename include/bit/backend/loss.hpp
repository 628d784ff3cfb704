// SPDX-License-Identifier: Apache-2.0
// The losses that BiT is trained and distilled with, as plain records that a backend evaluates where the logits are.
// Labels, probabilities and teachers' logits are viewed in host memory, not copied: they must outlive the evaluation.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

namespace bit::inline BIT_ABI {

/// Mean softmax cross-entropy -Σ t·log softmax(x), the loss of BiT-HyperRule (bit_pytorch/train.py). The targets t are
/// those of `labels`, of labels and partners as mixup makes them, weight·CE(labels) + (1-weight)·CE(partners), or
/// `probabilities`. Smoothing s replaces each target t by (1-s)·t + s/classes (arXiv:1512.00567, section 7), as PyTorch
/// and timm do. Evaluating throws config_error for a weight or smoothing outside [0,1], and shape_error for a wrong number
/// of labels, a label outside 0..classes-1, and probabilities that are negative or do not sum to 1 within 1e-2 (half
/// precision's rounding of 21,843 of them stays below).
struct cross_entropy {
  std::span<const std::int64_t> labels = {};    ///< (n)
  std::span<const std::int64_t> partners = {};  ///< (n), or empty
  double weight = 1;                            ///< of the labels, if there are partners; in [0,1]
  double smoothing = 0;                         ///< in [0,1]
  std::span<const double> probabilities = {};   ///< (n,classes), row-major, instead of labels
};

/// Sigmoid cross-entropy for several labels per image: summed over classes, mean over examples, as the 21,843-class
/// models were trained (big_vision's sigmoid_xent; PyTorch's BCEWithLogitsLoss divides by the classes, too). Targets are
/// made of labels as cross_entropy makes them, or given. Throws as cross_entropy does; targets are in [0,1].
struct sigmoid_cross_entropy {
  std::span<const std::int64_t> labels = {};
  std::span<const std::int64_t> partners = {};
  double weight = 1;
  double smoothing = 0;
  std::span<const double> targets = {};  ///< (n,classes) in [0,1], row-major, instead of labels
};

/// t²·KL(softmax(teacher/t) || softmax(student/t)), mean over examples: the loss of "patient and consistent" distillation
/// (arXiv:2106.05237, section 3; big_vision's distill trainer). The factor keeps the gradient's size when t changes.
/// Throws config_error unless the temperature is positive and finite.
struct distillation {
  std::span<const double> teacher = {};  ///< logits (n,classes), row-major
  double temperature = 1;
};

/// One of the losses that every backend computes. Others are a loss_function of the caller's (model/loss_function.hpp).
using loss = std::variant<cross_entropy, sigmoid_cross_entropy, distillation>;

/// The loss of logits in host memory: writes `weight`·dloss/dlogits to `gradient` and returns the mean loss of the `n`
/// images, not weighted. Both arrays are (n,classes), row-major, and do not overlap. Sums run in double: 21,843 terms in
/// float would cost three digits. Throws what the record says, and shape_error for sizes that do not fit.
template <class T>
double evaluate_loss(const loss& what, std::span<const T> logits, std::span<T> gradient, std::size_t n,
                     std::size_t classes, double weight = 1);

#if !BIT_HEADER_ONLY
extern template double evaluate_loss(const loss&, std::span<const float>, std::span<float>, std::size_t, std::size_t,
                                     double);
extern template double evaluate_loss(const loss&, std::span<const double>, std::span<double>, std::size_t, std::size_t,
                                     double);
#endif

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/backend/loss.ipp>
#endif
