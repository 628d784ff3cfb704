// SPDX-License-Identifier: Apache-2.0
// Bodies of train/best_metric.hpp.
#pragma once

#include <algorithm>
#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/train/best_metric.hpp>
#include <cmath>
#include <numeric>
#include <utility>

namespace bit::inline BIT_ABI::detail {

/// The area under the ROC curve of (score, whether it is of the class), by ranks (Mann and Whitney 1947).
inline std::optional<double> area_under_roc(std::vector<std::pair<double, bool>> scores) {
  std::sort(scores.begin(), scores.end());
  double ranks = 0, hits = 0;
  for (std::size_t first = 0; first < scores.size();) {
    std::size_t last = first, members = 0;
    for (; last < scores.size() && scores[last].first == scores[first].first; ++last) members += scores[last].second;
    if (last == first) return std::nullopt;  // NaN
    ranks += static_cast<double>(members) * (static_cast<double>(first + 1) + static_cast<double>(last)) / 2;
    hits += static_cast<double>(members);
    first = last;
  }
  const double others = static_cast<double>(scores.size()) - hits;
  if (hits == 0 || others == 0) return std::nullopt;
  return (ranks - hits * (hits + 1) / 2) / (hits * others);
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC const char* to_string(best_metric by) {
  constexpr const char* names[] = {"top1", "balanced_accuracy", "macro_f1", "auroc", "loss"};
  return names[static_cast<std::size_t>(by)];
}

BIT_FUNC double score_of(const evaluation& found, best_metric by) {
  switch (by) {
    case best_metric::balanced_accuracy:
      return found.balanced_accuracy;
    case best_metric::macro_f1:
      return found.macro_f1;
    case best_metric::loss:
      return found.loss;
    case best_metric::auroc:
      if (!found.auroc)
        throw config_error(
            "[evaluation] there is no auroc: it needs validation images of at least two classes; choose the best "
            "checkpoint by loss or top1");
      return *found.auroc;
    case best_metric::top1:
      break;
  }
  return found.top1;
}

BIT_FUNC bool is_better(double score, double than, best_metric by) {
  if (bit::detail::is_nan(than)) return !bit::detail::is_nan(score);
  return by == best_metric::loss ? score < than : score > than;
}

BIT_FUNC void auroc_counter::add(std::span<const float> logits, std::span<const std::int64_t> labels,
                                 std::size_t classes) {
  classes_ = classes;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const auto x = logits.subspan(row * classes, classes);
    const double largest = static_cast<double>(*std::max_element(x.begin(), x.end()));
    double sum = 0;
    for (const float v : x) sum += std::exp(static_cast<double>(v) - largest);
    for (const float v : x) probabilities_.push_back(std::exp(static_cast<double>(v) - largest) / sum);
  }
  labels_.insert(labels_.end(), labels.begin(), labels.end());
}

BIT_FUNC std::optional<double> auroc_counter::result() const {
  double sum = 0;
  std::size_t counted = 0;
  for (std::size_t c = classes_ == 2 ? 1 : 0; c < classes_; ++c) {
    std::vector<std::pair<double, bool>> scores;
    scores.reserve(labels_.size());
    for (std::size_t i = 0; i < labels_.size(); ++i)
      scores.emplace_back(probabilities_[i * classes_ + c], labels_[i] == static_cast<std::int64_t>(c));
    const auto area = detail::area_under_roc(std::move(scores));
    if (!area) continue;
    sum += *area;
    ++counted;
  }
  return counted == 0 ? std::nullopt : std::optional<double>(sum / static_cast<double>(counted));
}

}  // namespace bit::inline BIT_ABI::train
