// SPDX-License-Identifier: Apache-2.0
// Bodies of train/loader.hpp.
#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include <bit/error.hpp>
#include <bit/train/loader.hpp>

namespace bit::inline BIT_ABI::detail {

inline tensor4<float>::shape_type crop_shape(const data::augment_spec& spec, std::size_t n) {
  if (spec.order == layout::nchw) return {n, 3, spec.crop, spec.crop};
  return {n, spec.crop, spec.crop, 3};
}

/// Throws `failure` again, if it is a file's fault with what can be done.
[[noreturn]] inline void rethrow_with_advice(const std::exception_ptr& failure) {
  const char* advice = "; mend or remove it, or let skip_corrupt leave out such images";
  try {
    std::rethrow_exception(failure);
  } catch (const format_error& e) {
    throw format_error(e.what() + std::string(advice));
  } catch (const io_error& e) {
    throw io_error(e.what() + std::string(advice), e.code);
  }
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC batch_loader::batch_loader(data::dataset_ptr images, sampler order, const data::augment_spec& spec,
                                    std::uint64_t seed, std::uint64_t first, std::uint64_t last,
                                    const batch_loader_options& options)
    : images_(std::move(images)),
      spec_(spec),
      seed_(seed),
      last_(last),
      skip_corrupt_(options.skip_corrupt),
      order_(std::move(order)),
      next_(first),
      planned_(first) {
  validate(spec_);
  if (first > last || options.prefetch == 0)
    throw config_error("[batch_loader] expected first <= last and prefetch of at least 1, got " +
                       std::to_string(first) + ", " + std::to_string(last) + " and " +
                       std::to_string(options.prefetch));
  if (order_.examples() > images_->size())
    throw config_error("[batch_loader] expected a sampler of at most " + std::to_string(images_->size()) +
                       " examples, the data set's size, got one of " + std::to_string(order_.examples()));
  const std::size_t threads = data::detail::decoding_threads(options.threads, first == last ? 0 : order_.batch_size());
  const std::size_t fitting = options.max_ahead_bytes / (3 * spec_.crop * spec_.crop * sizeof(float));
  const std::size_t batches = std::min<std::uint64_t>(options.prefetch, last - first);
  // Two images a thread is the least that keeps the threads at work.
  tasks_.emplace(threads, std::max(std::min(batches * order_.batch_size(), fitting), 2 * threads));
  fill();
}

/// Hands out as many images as there is room for.
BIT_FUNC void batch_loader::fill() {
  while (tasks_->room() > 0) {
    if (plans_.empty() || pushed_of_last_ == plans_.back().size()) {
      if (planned_ == last_) return;
      plans_.push_back(order_.batch(planned_++));
      pushed_of_last_ = 0;
    }
    const std::uint64_t draw = order_.first_draw(planned_ - 1) + pushed_of_last_;
    tasks_->push([this, draw, index = plans_.back()[pushed_of_last_]](std::vector<float>& pixels) {
      pixels.resize(3 * spec_.crop * spec_.crop);
      augment(images_->image(index), spec_, draw_augmentation(spec_, seed_, draw), pixels);
    });
    ++pushed_of_last_;
  }
}

BIT_FUNC std::optional<labelled_batch> batch_loader::next() {
  if (next_ == last_ || tasks_->stopped()) return std::nullopt;
  return part(order_.size(next_) - handed_);
}

BIT_FUNC labelled_batch batch_loader::part(std::size_t count) {
  if (next_ == last_ || tasks_->stopped())
    throw config_error("[batch_loader] expected to be asked for batches below " + std::to_string(last_) +
                       " and before an error, got one after the end");
  fill();
  const std::vector<std::size_t>& plan = plans_.front();
  count = std::min(count, plan.size() - handed_);
  const std::size_t size = 3 * spec_.crop * spec_.crop;
  labelled_batch batch{next_, tensor4<float>::from_shape(detail::crop_shape(spec_, count)), {}, {}};
  for (const std::size_t index : std::span(plan).subspan(handed_, count)) {
    const auto failure = tasks_->take(batch.images.data() + size * batch.indices.size());
    fill();
    if (!failure) {
      batch.indices.push_back(index);
      batch.labels.push_back(static_cast<std::int64_t>(images_->label(index)));
      continue;
    }
    const auto fault = skip_corrupt_ ? data::detail::fault_of_file(failure) : std::nullopt;
    if (!fault) {
      tasks_->stop();
      detail::rethrow_with_advice(failure);
    }
    skipped_.push_back({next_, index, images_->name(index), *fault});
  }
  const std::size_t got = batch.indices.size();
  if (got < count) {
    auto smaller = tensor4<float>::from_shape(detail::crop_shape(spec_, got));
    std::copy_n(batch.images.data(), size * got, smaller.data());
    batch.images = std::move(smaller);
  }
  handed_ += count;
  readable_ += got;
  if (handed_ == plan.size()) end_batch();
  return batch;
}

/// Goes on to the next batch; throws if nothing of this one could be read.
BIT_FUNC void batch_loader::end_batch() {
  const std::size_t planned = plans_.front().size();
  plans_.pop_front();
  handed_ = 0;
  if (std::exchange(readable_, 0) == 0) {
    tasks_->stop();
    throw format_error("[batch_loader] expected readable images in batch " + std::to_string(next_) +
                       ", could read none of its " + std::to_string(planned) + "; the last: " + skipped_.back().reason);
  }
  ++next_;
}

}  // namespace bit::inline BIT_ABI::train
