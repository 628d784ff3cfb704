// SPDX-License-Identifier: Apache-2.0
// Choosing K examples of each class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::train {

/// Indices of `per_class` examples of each class, increasing; a function of its arguments, where every choice is equally
/// likely and a class's choice does not depend on the other classes. `labels` are below classes.size(). Throws
/// config_error if per_class is 0 or a class has fewer examples, with the names and counts of all such classes, and
/// shape_error for a label out of range. Thread-safe.
BIT_FUNC std::vector<std::size_t> few_shot(std::span<const std::size_t> labels, std::span<const std::string> classes,
                                           std::size_t per_class, std::uint64_t seed);

/// As bit_pytorch chooses (fewshot.py), but seeded: walks the set in random order, keeps the last `per_class` seen of
/// each class until all classes have as many, and returns them shuffled. Errors and the rest as few_shot().
BIT_FUNC std::vector<std::size_t> few_shot_last_seen(std::span<const std::size_t> labels,
                                                     std::span<const std::string> classes, std::size_t per_class,
                                                     std::uint64_t seed);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/few_shot.ipp>
#endif
