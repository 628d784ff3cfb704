// SPDX-License-Identifier: Apache-2.0
// Classes of different sizes: a loss in which the images of each class have a weight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/dataset.hpp>
#include <bit/model/loss_function.hpp>
#include <bit/train/batch.hpp>
#include <bit/train/training_loss.hpp>

namespace bit::inline BIT_ABI::train {

/// images / (classes · images of the class), scikit-learn's class_weight="balanced": each class weighs alike in the sum
/// over the set, and the mean weight of its images is 1. A class without images has weight 0.
BIT_FUNC std::vector<double> balanced_class_weights(const data::dataset& images);

/// Throws config_error unless there is a weight for each class, all finite, none negative and one positive.
BIT_FUNC void check_class_weights(std::span<const double> weights, std::size_t classes);

/// The mean over a part's images of class weight · loss, for labels and partners as mixup makes them each with its own
/// class's weight. The mean divides by the number of images, not by the sum of weights (PyTorch's reduction="mean" does
/// that), so results do not depend on how a step is parted. Views the batch and the weights, which must outlive it.
class class_weighted_loss final : public loss_function<float> {
 public:
  class_weighted_loss(const micro_batch& batch, training_loss kind, double smoothing, std::span<const double> weights)
      : batch_(batch), kind_(kind), smoothing_(smoothing), weights_(weights) {}
  /// See loss_function. Throws what evaluate_loss() throws.
  BIT_FUNC double operator()(std::span<const float> logits, std::span<float> gradient, std::size_t n,
                             std::size_t classes) const override;

 private:
  BIT_FUNC double add_label(std::int64_t label, double share, std::span<const float> logits,
                            std::span<float> gradient) const;

  const micro_batch& batch_;
  training_loss kind_;
  double smoothing_;
  std::span<const double> weights_;
};

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/class_weights.ipp>
#endif
