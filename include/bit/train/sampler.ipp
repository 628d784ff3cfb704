// SPDX-License-Identifier: Apache-2.0
// Bodies of train/sampler.hpp.
#pragma once

#include <algorithm>
#include <string>

#include <bit/error.hpp>
#include <bit/train/sampler.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC sampler::sampler(std::size_t examples, std::size_t batch_size, std::uint64_t seed,
                          const sampler_options& options)
    : examples_(examples), batch_size_(batch_size), seed_(seed), options_(options) {
  if (examples == 0 || batch_size == 0)
    throw config_error("[sampler] expected at least 1 example and a batch of at least 1, got " +
                       std::to_string(examples) + " examples and batch " + std::to_string(batch_size));
}

BIT_FUNC std::size_t sampler::example(std::uint64_t epoch, std::size_t place) {
  if (options_.order == sample_order::sequential) return place;
  if (kept_order_.empty() || kept_epoch_ != epoch) {
    kept_order_ = random_permutation(examples_, seed_, random_purpose::epoch_order, epoch);
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
    for (std::size_t i = 0; i < batch_size_; ++i) indices.push_back(static_cast<std::size_t>(random.below(examples_)));
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
