// SPDX-License-Identifier: Apache-2.0
// The loader as the trainer's source of images, and BiT's mixup as the trainer's hook.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/augment.hpp>
#include <bit/data/dataset.hpp>
#include <bit/train/batch.hpp>
#include <bit/train/loader.hpp>
#include <bit/train/mixup.hpp>
#include <bit/train/sampler.hpp>

namespace bit::inline BIT_ABI::train {

/// Batches of a data set as a function of the step: step s takes batch s of the sampler, its parts one after another. Asked
/// for another step or part than the next one, it starts anew there, so a resumed run gets what an uninterrupted one gets.
class loader_source final : public batch_source {
 public:
  /// With `batches_per_step` above 0 each part is a batch of its own, batch s * batches_per_step + part, as bit_pytorch
  /// takes its micro-batches; the trainer's batch_split must be the same. Other arguments and errors: batch_loader.
  BIT_FUNC loader_source(data::dataset_ptr images, const sampler& order, const data::augment_spec& spec,
                         std::uint64_t seed, const batch_loader_options& options = {},
                         std::size_t batches_per_step = 0);

  BIT_FUNC std::size_t size(std::size_t step) const override;
  /// Throws what batch_loader::part() throws, and config_error for a number of parts that is not batches_per_step.
  BIT_FUNC micro_batch read(std::size_t step, std::size_t part, std::size_t parts) override;

  /// Seconds that read() has waited for images so far.
  BIT_FUNC double waited_seconds() const;
  /// Images left out so far.
  BIT_FUNC std::vector<skipped_example> skipped() const;

 private:
  BIT_FUNC void start(std::uint64_t batch);

  data::dataset_ptr images_;
  sampler order_;
  data::augment_spec spec_;
  std::uint64_t seed_;
  batch_loader_options options_;
  std::size_t batches_per_step_;
  std::size_t next_step_ = 0, next_part_ = 0;
  double waited_before_ = 0;  // by loaders that were replaced
  std::vector<skipped_example> skipped_before_;
  std::optional<batch_loader> loader_;
};

/// What trainer_options::mix wants: each part's images mixed with the step's weight, their partners' labels and the weight
/// filled in. `parts` is the trainer's batch_split, by which micro-batches are numbered. An empty function if alpha is 0.
/// Throws config_error for a negative or infinite alpha.
BIT_FUNC std::function<void(std::size_t step, std::size_t part, micro_batch&)> mixup_of(double alpha,
                                                                                        mixup_partner partner,
                                                                                        std::uint64_t seed,
                                                                                        std::size_t parts);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/loader_source.ipp>
#endif
