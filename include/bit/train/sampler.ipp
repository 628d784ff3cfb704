// SPDX-License-Identifier: Apache-2.0
// Bodies of train/sampler.hpp.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <bit/error.hpp>
#include <bit/train/sampler.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC sampler::sampler(std::size_t examples, std::size_t batch_size, std::uint64_t seed,
                          const sampler_options& options, std::span<const std::size_t> labels)
    : examples_(examples), batch_size_(batch_size), seed_(seed), options_(options) {
  if (examples == 0 || batch_size == 0)
    throw config_error("[sampler] expected at least 1 example and a batch of at least 1, got " +
                       std::to_string(examples) + " examples and batch " + std::to_string(batch_size));
  if (options.order != sample_order::balanced) return;
  if (labels.size() != examples)
    throw config_error("[sampler] expected the class of each of " + std::to_string(examples) +
                       " examples for a balanced order, got " + std::to_string(labels.size()) + " classes");
  classes_.resize(*std::max_element(labels.begin(), labels.end()) + 1);
  for (std::size_t i = 0; i < labels.size(); ++i) classes_[labels[i]].push_back(i);
  std::erase_if(classes_, [](const auto& members) { return members.empty(); });
}

/// Draw d of all epochs is of class d % classes; a class's examples come in random orders, one after the other. The draws
/// of an epoch are then put into a random order.
BIT_FUNC std::vector<std::size_t> sampler::balanced_epoch(std::uint64_t epoch) const {
  const std::uint64_t classes = classes_.size(), first = epoch * examples_;
  std::vector<std::size_t> drawn(examples_);
  for (std::uint64_t c = 0; c < classes; ++c) {
    const auto& members = classes_[static_cast<std::size_t>(c)];
    std::vector<std::size_t> order;
    std::uint64_t round = 0;
    for (std::uint64_t draw = first + (c + classes - first % classes) % classes; draw < first + examples_;
         draw += classes) {
      const std::uint64_t number = draw / classes;
      if (order.empty() || number / members.size() != round) {
        round = number / members.size();
        order = random_permutation(members.size(), seed_, random_purpose::class_order, c + classes * round);
      }
      drawn[static_cast<std::size_t>(draw - first)] = members[order[static_cast<std::size_t>(number % members.size())]];
    }
  }
  const auto order = random_permutation(examples_, seed_, random_purpose::epoch_order, epoch);
  std::vector<std::size_t> shuffled(examples_);
  for (std::size_t i = 0; i < examples_; ++i) shuffled[i] = drawn[order[i]];
  return shuffled;
}

BIT_FUNC std::size_t sampler::example(std::uint64_t epoch, std::size_t place) {
  if (options_.order == sample_order::sequential) return place;
  if (kept_order_.empty() || kept_epoch_ != epoch) {
    kept_order_ = options_.order == sample_order::balanced
                      ? balanced_epoch(epoch)
                      : random_permutation(examples_, seed_, random_purpose::epoch_order, epoch);
    kept_epoch_ = epoch;
  }
  return kept_order_[place];
}

BIT_FUNC std::size_t sampler::size(std::uint64_t number) const {
  if (options_.end == epoch_end::carry_over || replaces()) return batch_size_;
  const std::size_t first = static_cast<std::size_t>(number % batches_per_epoch()) * batch_size_;
  return std::min(batch_size_, examples_ - first);
}

BIT_FUNC std::vector<std::size_t> sampler::batch(std::uint64_t number) {
  std::vector<std::size_t> indices;
  if (replaces()) {
    random_stream random(seed_, random_purpose::replacement, number);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random.below(n)); };
    for (std::size_t i = 0; i < batch_size_; ++i) {
      if (classes_.empty()) {
        indices.push_back(below(examples_));
        continue;
      }
      const auto& members = classes_[below(classes_.size())];
      indices.push_back(members[below(members.size())]);
    }
    return indices;
  }
  if (options_.end == epoch_end::carry_over) {
    std::uint64_t draw = first_draw(number);
    for (std::size_t i = 0; i < batch_size_; ++i, ++draw)
      indices.push_back(example(draw / examples_, static_cast<std::size_t>(draw % examples_)));
    return indices;
  }
  const std::uint64_t epoch = number / batches_per_epoch();
  const std::size_t first = static_cast<std::size_t>(number % batches_per_epoch()) * batch_size_;
  const std::size_t count = size(number);
  for (std::size_t place = first; place < first + count; ++place) indices.push_back(example(epoch, place));
  return indices;
}

}  // namespace bit::inline BIT_ABI::train
