// SPDX-License-Identifier: Apache-2.0
// Bodies of train/few_shot.hpp.
#pragma once

#include <algorithm>

#include <bit/error.hpp>
#include <bit/random.hpp>
#include <bit/train/few_shot.hpp>

namespace bit::inline BIT_ABI::detail {

/// The examples of each class, checked to be enough.
inline std::vector<std::vector<std::size_t>> members_of_classes(std::span<const std::size_t> labels,
                                                                std::span<const std::string> classes,
                                                                std::size_t per_class) {
  if (per_class == 0) throw config_error("[few_shot] expected at least 1 example per class, got 0");
  std::vector<std::vector<std::size_t>> members(classes.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= classes.size())
      throw shape_error("[few_shot] expected labels below " + std::to_string(classes.size()) + ", got " +
                        std::to_string(labels[i]) + " at position " + std::to_string(i));
    members[labels[i]].push_back(i);
  }
  std::string lacking;
  std::size_t count = 0;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (members[c].size() >= per_class) continue;
    if (++count <= 10)
      lacking += (count == 1 ? "" : ", ") + ("'" + classes[c] + "' has ") + std::to_string(members[c].size());
  }
  if (count > 10) lacking += " and " + std::to_string(count - 10) + " more classes have too few";
  if (count > 0)
    throw config_error("[few_shot] expected at least " + std::to_string(per_class) + " examples of each class, but " +
                       lacking + "; ask for fewer or add images");
  return members;
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC std::vector<std::size_t> few_shot(std::span<const std::size_t> labels, std::span<const std::string> classes,
                                           std::size_t per_class, std::uint64_t seed) {
  const auto members = detail::members_of_classes(labels, classes, per_class);
  std::vector<std::size_t> chosen;
  for (std::size_t c = 0; c < members.size(); ++c) {
    const auto order = random_permutation(members[c].size(), seed, random_purpose::few_shot, c);
    for (std::size_t k = 0; k < per_class; ++k) chosen.push_back(members[c][order[k]]);
  }
  std::ranges::sort(chosen);
  return chosen;
}

BIT_FUNC std::vector<std::size_t> few_shot_last_seen(std::span<const std::size_t> labels,
                                                     std::span<const std::string> classes, std::size_t per_class,
                                                     std::uint64_t seed) {
  detail::members_of_classes(labels, classes, per_class);
  std::vector<std::vector<std::size_t>> seen(classes.size());
  std::size_t full = 0;
  // Classes come before the two orders among the indices of this purpose.
  for (const std::size_t i : random_permutation(labels.size(), seed, random_purpose::few_shot, classes.size())) {
    if (full == classes.size()) break;
    seen[labels[i]].push_back(i);
    if (seen[labels[i]].size() == per_class) ++full;
  }
  std::vector<std::size_t> kept;
  for (const auto& examples : seen)
    kept.insert(kept.end(), examples.end() - static_cast<std::ptrdiff_t>(per_class), examples.end());
  std::vector<std::size_t> shuffled;
  for (const std::size_t k : random_permutation(kept.size(), seed, random_purpose::few_shot, classes.size() + 1))
    shuffled.push_back(kept[k]);
  return shuffled;
}

}  // namespace bit::inline BIT_ABI::train
