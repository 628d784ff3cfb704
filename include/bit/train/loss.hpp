// The losses that BiT is trained and distilled with. Sums run in double: 21,843 terms in float would cost three digits.
// Labels, probabilities and teachers' logits are viewed, not copied: they must outlive the loss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <bit/backend/loss_function.hpp>
#include <bit/config.hpp>

namespace bit::inline v0::train {

/// Mean softmax cross-entropy -Σ t·log softmax(x), the loss of BiT-HyperRule (bit_pytorch/train.py). `smoothing` s in
/// [0,1] replaces each target t by (1-s)·t + s/classes (arXiv:1512.00567, section 7), as PyTorch and timm do.
/// Calls throw shape_error for a wrong number of labels, a label outside 0..classes-1, and probabilities that are
/// negative or do not sum to 1 within 1e-2 (half precision's rounding of 21,843 of them stays below).
template <class T = float>
class cross_entropy final : public loss_function<T> {
 public:
  /// One class per example, labels (n). Throws config_error for smoothing outside [0,1].
  explicit cross_entropy(std::span<const std::int64_t> labels, double smoothing = 0);
  /// Two per example, as mixup makes them: weight·CE(labels) + (1-weight)·CE(partners), weight in [0,1].
  cross_entropy(std::span<const std::int64_t> labels, std::span<const std::int64_t> partners, double weight,
                double smoothing = 0);
  /// Probabilities (n,classes), row-major.
  static cross_entropy of_probabilities(std::span<const double> probabilities, double smoothing = 0);

  double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                    std::size_t classes) const override;

 private:
  cross_entropy() = default;
  void write_target(std::size_t row, std::size_t classes, std::span<double> target) const;
  void check(std::size_t n, std::size_t classes) const;

  std::span<const std::int64_t> labels_, partners_;
  std::span<const double> probabilities_;
  double weight_ = 1, smoothing_ = 0;
};

/// Sigmoid cross-entropy for several labels per image: summed over classes, mean over examples, as the 21,843-class
/// models were trained (big_vision's sigmoid_xent; PyTorch's BCEWithLogitsLoss divides by the classes, too).
template <class T = float>
class sigmoid_cross_entropy final : public loss_function<T> {
 public:
  /// `targets` (n,classes) in [0,1], row-major; calls throw shape_error for others.
  explicit sigmoid_cross_entropy(std::span<const T> targets) : targets_(targets) {}
  double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                    std::size_t classes) const override;

 private:
  std::span<const T> targets_;
};

/// t²·KL(softmax(teacher/t) || softmax(student/t)), mean over examples: the loss of "patient and consistent" distillation
/// (arXiv:2106.05237, section 3; big_vision's distill trainer). The factor keeps the gradient's size when t changes.
template <class T = float>
class distillation final : public loss_function<T> {
 public:
  /// `teacher` logits (n,classes), row-major. Throws config_error unless temperature is positive.
  explicit distillation(std::span<const T> teacher, double temperature = 1);
  double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                    std::size_t classes) const override;

 private:
  std::span<const T> teacher_;
  double temperature_;
};

/// Mean squared difference to `targets` (n,classes), mean over examples and classes as PyTorch's MSELoss.
template <class T = float>
class squared_error final : public loss_function<T> {
 public:
  explicit squared_error(std::span<const T> targets) : targets_(targets) {}
  double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                    std::size_t classes) const override;

 private:
  std::span<const T> targets_;
};

#if !BIT_HEADER_ONLY
extern template class cross_entropy<float>;
extern template class cross_entropy<double>;
extern template class sigmoid_cross_entropy<float>;
extern template class sigmoid_cross_entropy<double>;
extern template class distillation<float>;
extern template class distillation<double>;
extern template class squared_error<float>;
extern template class squared_error<double>;
#endif

}  // namespace bit::inline v0::train

#if BIT_HEADER_ONLY
#include <bit/train/loss.ipp>
#endif
