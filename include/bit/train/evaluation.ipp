// SPDX-License-Identifier: Apache-2.0
// Bodies of train/evaluation.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/loss.hpp>
#include <bit/train/evaluation.hpp>
#include <cmath>
#include <vector>

namespace bit::inline BIT_ABI::train {

BIT_FUNC void evaluation_counter::add(std::span<const float> logits, std::span<const std::int64_t> labels,
                                      std::size_t classes) {
  if (labels.empty() && logits.empty()) return;
  std::vector<float> unused(logits.size());
  const auto n = static_cast<double>(labels.size());
  loss_ += n * evaluate_loss<float>(cross_entropy{.labels = labels}, logits, unused, labels.size(), classes);
  classes_.resize(std::max(classes_.size(), classes));
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const auto x = logits.subspan(row * classes, classes);
    const auto label = static_cast<std::size_t>(labels[row]);
    std::size_t before = 0, taken_for = label;
    for (std::size_t k = 0; k < classes; ++k) {
      const bool precedes = k != label && (!(x[k] <= x[label]) || (x[k] == x[label] && k < label));
      if (!precedes) continue;
      if (++before == 1 || x[k] > x[taken_for]) taken_for = k;
    }
    if (keep_pairs_) pairs_.push_back({labels[row], static_cast<std::int64_t>(taken_for)});
    ++classes_[label].examples;
    ++classes_[taken_for].predicted;
    classes_[label].found += before < 1;
    first_ += before < 1;
    among_five_ += before < 5;
  }
  examples_ += labels.size();
}

BIT_FUNC evaluation evaluation_counter::result() const {
  if (examples_ == 0) return {};
  const auto n = static_cast<double>(examples_);
  evaluation all{examples_, loss_ / n, static_cast<double>(first_) / n, static_cast<double>(among_five_) / n, pairs_};
  std::size_t present = 0, known = 0;
  for (const auto& c : classes_) {
    const auto found = static_cast<double>(c.found);
    if (c.examples != 0) all.balanced_accuracy += found / static_cast<double>(c.examples);
    if (c.examples + c.predicted != 0) all.macro_f1 += 2 * found / static_cast<double>(c.examples + c.predicted);
    present += c.examples != 0;
    known += c.examples + c.predicted != 0;
  }
  all.balanced_accuracy /= static_cast<double>(present);
  all.macro_f1 /= static_cast<double>(known);
  return all;
}

}  // namespace bit::inline BIT_ABI::train
