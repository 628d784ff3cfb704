// SPDX-License-Identifier: Apache-2.0
// Batches of augmented, labelled images for a range of steps, decoded ahead by threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/augment.hpp>
#include <bit/data/dataset.hpp>
#include <bit/data/ordered_tasks.hpp>
#include <bit/tensor.hpp>
#include <bit/train/sampler.hpp>

namespace bit::inline BIT_ABI::train {

struct batch_loader_options {
  std::size_t threads = 0;   ///< that decode; 0: as many as the machine has processors, at most 8
  std::size_t prefetch = 2;  ///< batches that may be ready or in work beyond the one handed out; at least 1
  bool skip_corrupt =
      false;  ///< leave out images that cannot be read and list them in skipped(); false: stop with an error
  /// The images ready or in work take no more than this, even if they are less than `prefetch` batches. A batch of 512
  /// images of 480 x 480 alone takes 1.4 GB.
  std::size_t max_ahead_bytes = std::size_t{512} << 20;
};

/// Some images and what they show.
struct labelled_batch {
  std::uint64_t number = 0;          ///< of the sampler
  tensor4<float> images;             ///< (n,3,crop,crop) or (n,crop,crop,3), in [-1,1]
  std::vector<std::int64_t> labels;  ///< (n)
  std::vector<std::size_t> indices;  ///< in the data set, (n)
};

/// An image that was left out of a batch.
struct skipped_example {
  std::uint64_t batch;
  std::size_t index;
  std::string name, reason;
};

/// Hands out the sampler's batches first..last-1 in order. A batch is a function of (data set, sampler, spec, seed, number):
/// neither the number of threads nor the batch it starts with matters. Calls must come from one thread at a time; the
/// destructor waits for no more than the images that are being decoded.
class batch_loader {
 public:
  /// Starts the threads. `seed` is that of the augmentation. Throws config_error for an impossible spec, first > last, a
  /// prefetch of zero, or a sampler of more examples than the data set has.
  BIT_FUNC batch_loader(data::dataset_ptr images, sampler order, const data::augment_spec& spec, std::uint64_t seed,
                        std::uint64_t first, std::uint64_t last, const batch_loader_options& options = {});
  batch_loader(const batch_loader&) = delete;
  batch_loader& operator=(const batch_loader&) = delete;

  /// The next batch, or what part() has left of it; nothing at the end. An image that cannot be read throws what the data
  /// set threw, with its name, when its turn comes, and ends the walk; with skip_corrupt its batch is smaller, and only a
  /// batch of which nothing is left throws format_error.
  BIT_FUNC std::optional<labelled_batch> next();

  /// The next `count` images of the present batch, fewer where it ends, for batches that do not fit memory. May come back
  /// without images if they were left out. Throws config_error at the end, otherwise as next().
  BIT_FUNC labelled_batch part(std::size_t count);

  /// Ends the threads, as the destructor does; next() then hands out nothing.
  void stop() { tasks_->stop(); }

  /// Images left out so far, in order; only with skip_corrupt.
  const std::vector<skipped_example>& skipped() const { return skipped_; }
  /// Seconds that next() has waited for images so far.
  double waited_seconds() const { return tasks_->waited_seconds(); }

 private:
  BIT_FUNC void fill();
  BIT_FUNC void end_batch();

  const data::dataset_ptr images_;
  const data::augment_spec spec_;
  const std::uint64_t seed_, last_;
  const bool skip_corrupt_;
  sampler order_;
  std::uint64_t next_, planned_;                // batches to hand out and to plan
  std::deque<std::vector<std::size_t>> plans_;  // examples of batches next_..planned_-1
  std::size_t pushed_of_last_ = 0;              // examples of the last plan that are with the threads
  std::size_t handed_ = 0, readable_ = 0;       // images of batch next_ that were taken, and those not left out
  std::vector<skipped_example> skipped_;
  std::optional<data::detail::ordered_tasks> tasks_;  // its threads read what stands above
};

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/loader.ipp>
#endif
