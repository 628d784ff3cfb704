// SPDX-License-Identifier: Apache-2.0
// Which examples make which batch: seeded epochs as a function of the batch's number, so that a run resumes anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <bit/config.hpp>
#include <bit/random.hpp>

namespace bit::inline BIT_ABI::train {

/// In which order examples are taken.
enum class sample_order {
  shuffled,    ///< each epoch in a random order of its own
  sequential,  ///< 0, 1, 2, ...: evaluation
  balanced,    ///< as shuffled, but each class is drawn equally often, and each of its examples as often as the others
};

/// What happens where an epoch ends within a batch.
enum class epoch_end {
  short_batch,  ///< the epoch's last batch is smaller, nothing is dropped: bit_pytorch, the default
  carry_over,   ///< the batch goes on with the next epoch, all batches are full: bit_jax, bit_tf2
};

struct sampler_options {
  sample_order order = sample_order::shuffled;
  epoch_end end = epoch_end::short_batch;
  friend bool operator==(const sampler_options&, const sampler_options&) = default;
};

/// Batches of indices 0..examples-1. Batch b is a function of (examples, batch_size, seed, options, b). If a batch is
/// larger than the whole set, short_batch draws full batches with replacement, as bit_pytorch, unless it is sequential.
/// A balanced epoch has as many draws as there are examples, some of which are then drawn twice and others not at all.
/// Keeps the order of one epoch, 8 bytes per example; one thread at a time.
class sampler {
 public:
  /// `labels`, the class of each example, is read for a balanced order alone. Throws config_error for no examples, a batch
  /// size of 0, and a balanced order without a label for each example.
  BIT_FUNC sampler(std::size_t examples, std::size_t batch_size, std::uint64_t seed,
                   const sampler_options& options = {}, std::span<const std::size_t> labels = {});

  /// The examples of batch `number`, counted from 0 through all epochs.
  BIT_FUNC std::vector<std::size_t> batch(std::uint64_t number);
  /// How many examples batch `number` has.
  BIT_FUNC std::size_t size(std::uint64_t number) const;
  /// Number of the batch's first draw among all draws of the training: its images are draws first_draw, first_draw + 1, ...
  std::uint64_t first_draw(std::uint64_t number) const { return number * batch_size_; }
  /// Batches until every example was seen once, the last one perhaps short or shared with the next epoch.
  std::size_t batches_per_epoch() const { return examples_ / batch_size_ + (examples_ % batch_size_ != 0 ? 1 : 0); }
  /// True if batches are drawn with replacement.
  bool replaces() const {
    return batch_size_ > examples_ && options_.order != sample_order::sequential &&
           options_.end == epoch_end::short_batch;
  }
  std::size_t examples() const { return examples_; }
  std::size_t batch_size() const { return batch_size_; }

 private:
  BIT_FUNC std::size_t example(std::uint64_t epoch, std::size_t place);
  BIT_FUNC std::vector<std::size_t> balanced_epoch(std::uint64_t epoch) const;

  std::size_t examples_, batch_size_;
  std::uint64_t seed_;
  sampler_options options_;
  std::uint64_t kept_epoch_ = 0;
  std::vector<std::size_t> kept_order_;            // of kept_epoch_; empty until first used
  std::vector<std::vector<std::size_t>> classes_;  // examples of each class that has some, if the order is balanced
};

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/sampler.ipp>
#endif
