// SPDX-License-Identifier: Apache-2.0
// Bodies of train/loader_source.hpp.
#pragma once

#include <limits>
#include <span>
#include <string>
#include <utility>

#include <bit/error.hpp>
#include <bit/train/loader_source.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC loader_source::loader_source(data::dataset_ptr images, const sampler& order, const data::augment_spec& spec,
                                      std::uint64_t seed, const batch_loader_options& options,
                                      std::size_t batches_per_step)
    : images_(std::move(images)),
      order_(order),
      spec_(spec),
      seed_(seed),
      options_(options),
      batches_per_step_(batches_per_step) {
  batch_loader(images_, order_, spec_, seed_, 0, 0, options_);  // its checks
}

BIT_FUNC std::size_t loader_source::size(std::size_t step) const {
  if (batches_per_step_ == 0) return order_.size(step);
  std::size_t sum = 0;
  for (std::size_t part = 0; part < batches_per_step_; ++part) sum += order_.size(step * batches_per_step_ + part);
  return sum;
}

BIT_FUNC void loader_source::start(std::uint64_t batch) {
  waited_before_ = waited_seconds();
  skipped_before_ = skipped();
  loader_.emplace(images_, order_, spec_, seed_, batch, std::numeric_limits<std::uint64_t>::max(), options_);
}

BIT_FUNC micro_batch loader_source::read(std::size_t step, std::size_t part, std::size_t parts) {
  const bool own = batches_per_step_ != 0;
  if (own && parts != batches_per_step_)
    throw config_error("[loader] expected steps of " + std::to_string(batches_per_step_) + " parts, got " +
                       std::to_string(parts));
  if (!loader_ || step != next_step_ || part != next_part_) {
    start(own ? step * parts + part : step);
    if (!own && part != 0) loader_->part(range_of_micro_batch(order_.size(step), part, parts).first);
  }
  const std::size_t count =
      own ? order_.size(step * parts + part) : range_of_micro_batch(order_.size(step), part, parts).count;
  micro_batch batch;
  if (count != 0) {
    labelled_batch loaded = loader_->part(count);
    batch.images = std::move(loaded.images);
    batch.labels = std::move(loaded.labels);
  } else {
    batch.images = tensor4<float>::from_shape(detail::crop_shape(spec_, 0));
  }
  batch.order = spec_.order;
  next_step_ = part + 1 == parts ? step + 1 : step;
  next_part_ = part + 1 == parts ? 0 : part + 1;
  return batch;
}

BIT_FUNC double loader_source::waited_seconds() const {
  return waited_before_ + (loader_ ? loader_->waited_seconds() : 0);
}

BIT_FUNC std::vector<skipped_example> loader_source::skipped() const {
  std::vector<skipped_example> all = skipped_before_;
  if (loader_) all.insert(all.end(), loader_->skipped().begin(), loader_->skipped().end());
  return all;
}

BIT_FUNC std::function<void(std::size_t step, std::size_t part, micro_batch&)> mixup_of(double alpha,
                                                                                        mixup_partner partner,
                                                                                        std::uint64_t seed,
                                                                                        std::size_t parts) {
  mixup_lambda(alpha, seed, 0);  // its check
  if (alpha == 0) return nullptr;
  return [=](std::size_t step, std::size_t part, micro_batch& batch) {
    const auto partners = mixup_partners(batch.size(), partner, seed, std::uint64_t{step} * parts + part);
    batch.weight = mixup_lambda(alpha, seed, step);
    mix_images(std::span<float>(batch.images.data(), batch.images.size()), std::span<const std::size_t>(partners),
               batch.weight);
    batch.partners = mix_labels(batch.labels, partners, batch.weight).second;
  };
}

}  // namespace bit::inline BIT_ABI::train
