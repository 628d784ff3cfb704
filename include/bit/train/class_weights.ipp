// SPDX-License-Identifier: Apache-2.0
// Bodies of train/class_weights.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/loss.hpp>
#include <bit/detail/finite.hpp>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/train/class_weights.hpp>
#include <cmath>
#include <string>

namespace bit::inline BIT_ABI::train {

BIT_FUNC std::vector<double> balanced_class_weights(const data::dataset& images) {
  const auto labels = data::labels_of(images);
  std::vector<double> weights(images.class_names().size());
  for (const std::size_t label : labels) ++weights[label];
  const double share = static_cast<double>(labels.size()) / static_cast<double>(weights.size());
  for (double& w : weights)
    if (w > 0) w = share / w;
  return weights;
}

BIT_FUNC void check_class_weights(std::span<const double> weights, std::size_t classes) {
  if (weights.size() != classes)
    throw config_error("[recipe] expected a class weight for each of " + std::to_string(classes) + " classes, got " +
                       std::to_string(weights.size()));
  for (const double w : weights)
    if (!detail::is_non_negative(w))
      throw config_error("[recipe] expected class weights of 0 or more, got " + detail::number_text(w));
  if (std::all_of(weights.begin(), weights.end(), [](double w) { return w == 0; }))
    throw config_error("[recipe] expected a class weight above 0, all are 0");
}

BIT_FUNC double class_weighted_loss::add_label(std::int64_t label, double share, std::span<const float> logits,
                                               std::span<float> gradient) const {
  const std::span<const std::int64_t> labels(&label, 1);
  loss what = cross_entropy{.labels = labels, .smoothing = smoothing_};
  if (kind_ == training_loss::sigmoid) what = sigmoid_cross_entropy{.labels = labels, .smoothing = smoothing_};
  std::vector<float> own(gradient.size());
  const double value = evaluate_loss<float>(what, logits, own, 1, gradient.size());  // checks the label
  const double scale = share * weights_[static_cast<std::size_t>(label)];
  for (std::size_t k = 0; k < own.size(); ++k)
    gradient[k] = static_cast<float>(static_cast<double>(gradient[k]) + scale * static_cast<double>(own[k]));
  return scale * value;
}

BIT_FUNC double class_weighted_loss::operator()(std::span<const float> logits, std::span<float> gradient, std::size_t n,
                                                std::size_t classes) const {
  std::fill(gradient.begin(), gradient.end(), 0.0F);
  const double share = 1 / static_cast<double>(n);
  const double first = batch_.partners.empty() ? 1 : batch_.weight;
  double total = 0;
  for (std::size_t row = 0; row < n; ++row) {
    const auto x = logits.subspan(row * classes, classes);
    const auto to = gradient.subspan(row * classes, classes);
    total += add_label(batch_.labels[row], first * share, x, to);
    if (!batch_.partners.empty()) total += add_label(batch_.partners[row], (1 - first) * share, x, to);
  }
  return total;
}

}  // namespace bit::inline BIT_ABI::train
