// SPDX-License-Identifier: Apache-2.0
// Bodies of train/mixup.hpp.
#pragma once

#include <string>

#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/random.hpp>
#include <bit/train/mixup.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC mixup_partner parse_mixup_partner(std::string_view name) {
  if (name == "permuted") return mixup_partner::permuted;
  if (name == "reversed") return mixup_partner::reversed;
  if (name == "previous") return mixup_partner::previous;
  throw config_error("[mixup] expected partners 'permuted', 'reversed' or 'previous', got '" + std::string(name) + "'");
}

BIT_FUNC double mixup_lambda(double alpha, std::uint64_t seed, std::uint64_t step) {
  if (!detail::is_non_negative(alpha))
    throw config_error("[mixup] expected alpha of at least 0, got " + std::to_string(alpha));
  if (alpha == 0) return 1;
  return random_stream(seed, random_purpose::mixup_lambda, step).beta(alpha, alpha);
}

BIT_FUNC std::vector<std::size_t> mixup_partners(std::size_t n, mixup_partner order, std::uint64_t seed,
                                                 std::uint64_t part) {
  if (order == mixup_partner::permuted) return random_permutation(n, seed, random_purpose::mixup_partner, part);
  std::vector<std::size_t> partners(n);
  for (std::size_t i = 0; i < n; ++i) partners[i] = order == mixup_partner::reversed ? n - 1 - i : (i + n - 1) % n;
  return partners;
}

BIT_FUNC mixed_labels mix_labels(std::span<const std::int64_t> labels, std::span<const std::size_t> partners,
                                 double lambda) {
  if (labels.size() != partners.size())
    throw shape_error("[mixup] expected as many partners as labels, got " + std::to_string(partners.size()) +
                      " partners and " + std::to_string(labels.size()) + " labels");
  mixed_labels mixed{{labels.begin(), labels.end()}, {}, lambda};
  for (const std::size_t partner : partners) {
    if (partner >= labels.size())
      throw shape_error("[mixup] expected partners below " + std::to_string(labels.size()) + ", got " +
                        std::to_string(partner));
    mixed.second.push_back(labels[partner]);
  }
  return mixed;
}

BIT_FUNC std::vector<double> to_probabilities(const mixed_labels& labels, std::size_t classes) {
  std::vector<double> rows(labels.first.size() * classes);
  const auto add = [&](std::size_t row, std::int64_t label, double weight) {
    if (label < 0 || static_cast<std::size_t>(label) >= classes)
      throw shape_error("[mixup] expected labels in 0.." + std::to_string(classes - 1) + ", got " +
                        std::to_string(label) + " at position " + std::to_string(row));
    rows[classes * row + static_cast<std::size_t>(label)] += weight;
  };
  for (std::size_t i = 0; i < labels.first.size(); ++i) {
    add(i, labels.first[i], labels.lambda);
    add(i, labels.second[i], 1 - labels.lambda);
  }
  return rows;
}

}  // namespace bit::inline BIT_ABI::train
