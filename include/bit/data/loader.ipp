// SPDX-License-Identifier: Apache-2.0
// Bodies of data/loader.hpp.
#pragma once

#include <algorithm>
#include <utility>

#include <bit/data/loader.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {

BIT_FUNC image_loader::image_loader(std::vector<std::filesystem::path> paths, const preprocess_spec& spec,
                                    const loader_options& options)
    : paths_(std::move(paths)), spec_(spec), options_(options) {
  validate(spec_);
  if (options_.batch_size == 0 || options_.prefetch == 0)
    throw config_error("[image_loader] expected batch_size and prefetch of at least 1, got " +
                       std::to_string(options_.batch_size) + " and " + std::to_string(options_.prefetch));
  const std::size_t batches = paths_.size() / options_.batch_size + (paths_.size() % options_.batch_size != 0 ? 1 : 0);
  const std::size_t ahead =
      std::min(paths_.size(), std::min(options_.prefetch, batches) * std::min(options_.batch_size, paths_.size()));
  tasks_.emplace(detail::decoding_threads(options_.threads, paths_.size()), ahead);
  fill();
}

/// Hands out as many files as there is room for.
BIT_FUNC void image_loader::fill() {
  while (tasks_->pushed() < paths_.size() && tasks_->room() > 0)
    tasks_->push([this, index = tasks_->pushed()](std::vector<float>& pixels) {
      pixels.resize(3 * spec_.height * spec_.width);
      preprocess(read_image(paths_[index], options_.decode), spec_, pixels);
    });
}

BIT_FUNC std::optional<image_batch> image_loader::next() {
  const std::size_t size = 3 * spec_.height * spec_.width;
  const std::size_t wanted = std::min(options_.batch_size, paths_.size() - tasks_->taken());
  if (wanted == 0 || tasks_->stopped()) return std::nullopt;
  image_batch batch{tensor4<float>::from_shape(detail::batch_shape(spec_, wanted)), {}};
  while (tasks_->taken() < paths_.size() && batch.indices.size() < wanted) {
    const std::size_t index = tasks_->taken();
    const auto failure = tasks_->take(batch.images.data() + size * batch.indices.size());
    fill();
    if (!failure) {
      batch.indices.push_back(index);
      continue;
    }
    const auto fault = options_.skip_corrupt ? detail::fault_of_file(failure) : std::nullopt;
    if (!fault) {
      tasks_->stop();
      std::rethrow_exception(failure);
    }
    skipped_.push_back({index, paths_[index], *fault});
  }
  const std::size_t got = batch.indices.size();
  if (got == 0) return std::nullopt;
  if (got < wanted) {
    auto smaller = tensor4<float>::from_shape(detail::batch_shape(spec_, got));
    std::copy_n(batch.images.data(), size * got, smaller.data());
    batch.images = std::move(smaller);
  }
  return batch;
}

}  // namespace bit::inline BIT_ABI::data
