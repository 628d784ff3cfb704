// Bodies of data/loader.hpp: workers claim files in order and fill a ring of slots, next() empties it in order.
#pragma once

#include <algorithm>
#include <utility>

#include <bit/data/loader.hpp>
#include <bit/error.hpp>

namespace bit::inline v0::data {

BIT_FUNC image_loader::image_loader(std::vector<std::filesystem::path> paths, const preprocess_spec& spec,
                                    const loader_options& options)
    : paths_(std::move(paths)), spec_(spec), options_(options) {
  validate(spec_);
  if (options_.batch_size == 0 || options_.prefetch == 0)
    throw config_error("[image_loader] expected batch_size and prefetch of at least 1, got " +
                       std::to_string(options_.batch_size) + " and " + std::to_string(options_.prefetch));
  const std::size_t processors = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 8);
  const std::size_t threads = std::min(options_.threads != 0 ? options_.threads : processors, paths_.size());
  const std::size_t batches = paths_.size() / options_.batch_size + (paths_.size() % options_.batch_size != 0 ? 1 : 0);
  slots_.resize(
      std::min(paths_.size(), std::min(options_.prefetch, batches) * std::min(options_.batch_size, paths_.size())));
  try {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {  // the system has no more threads: those that started must not outlive this object
    stop();
    throw;
  }
}

BIT_FUNC image_loader::~image_loader() { stop(); }

BIT_FUNC void image_loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  room_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

BIT_FUNC void image_loader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    room_.wait(lock, [&] { return stopped_ || claimed_ == paths_.size() || claimed_ < taken_ + slots_.size(); });
    if (stopped_ || claimed_ == paths_.size()) return;
    const std::size_t index = claimed_++;
    slot& target = slots_[index % slots_.size()];
    lock.unlock();
    try {
      target.pixels.resize(3 * spec_.height * spec_.width);
      preprocess(read_image(paths_[index], options_.decode), spec_, target.pixels);
    } catch (...) {
      target.failure = std::current_exception();
    }
    lock.lock();
    target.ready = true;
    ready_.notify_one();
  }
}

/// Waits for the next file and copies its pixels to `out`; returns what made it fail, if anything.
BIT_FUNC std::exception_ptr image_loader::take(float* out) {
  slot& source = slots_[taken_ % slots_.size()];
  {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return source.ready; });
  }
  std::exception_ptr failure = std::exchange(source.failure, nullptr);
  if (!failure) std::ranges::copy(source.pixels, out);
  {
    const std::lock_guard lock(mutex_);
    source.ready = false;
    ++taken_;
  }
  room_.notify_one();
  return failure;
}

/// Notes a failed file, or ends the walk and throws.
BIT_FUNC void image_loader::skip_or_throw(std::size_t index, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const error& e) {
    const bool of_the_file =
        dynamic_cast<const format_error*>(&e) != nullptr || dynamic_cast<const io_error*>(&e) != nullptr;
    if (options_.skip_corrupt && of_the_file) {
      skipped_.push_back({index, paths_[index], e.what()});
      return;
    }
  } catch (...) {  // not of this library: ends the walk below
  }
  stop();
  std::rethrow_exception(failure);
}

BIT_FUNC std::optional<image_batch> image_loader::next() {
  const std::size_t size = 3 * spec_.height * spec_.width;
  const std::size_t wanted = std::min(options_.batch_size, paths_.size() - taken_);
  if (wanted == 0 || stopped_) return std::nullopt;
  image_batch batch{tensor4<float>::from_shape(detail::batch_shape(spec_, wanted)), {}};
  while (taken_ < paths_.size() && batch.indices.size() < wanted) {
    const std::size_t index = taken_;
    if (const auto failure = take(batch.images.data() + size * batch.indices.size()))
      skip_or_throw(index, failure);
    else
      batch.indices.push_back(index);
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

}  // namespace bit::inline v0::data
