// SPDX-License-Identifier: Apache-2.0
// Bodies of data/ordered_tasks.hpp: threads claim tasks in order from a ring of slots, take() empties it in order.
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

#include <bit/data/ordered_tasks.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data::detail {

BIT_FUNC ordered_tasks::ordered_tasks(std::size_t threads, std::size_t capacity) : slots_(capacity) {
  try {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {  // the system has no more threads: those that started must not outlive this object
    stop();
    throw;
  }
}

BIT_FUNC ordered_tasks::~ordered_tasks() { stop(); }

BIT_FUNC void ordered_tasks::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

BIT_FUNC void ordered_tasks::push(task work) {
  {
    const std::lock_guard lock(mutex_);
    slots_[pushed_ % slots_.size()].work = std::move(work);
    ++pushed_;
  }
  work_.notify_one();
}

BIT_FUNC void ordered_tasks::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [&] { return stopped_ || claimed_ < pushed_; });
    if (stopped_) return;
    slot& mine = slots_[claimed_++ % slots_.size()];
    lock.unlock();
    try {
      mine.work(mine.result);
    } catch (...) {
      mine.failure = std::current_exception();
    }
    lock.lock();
    mine.ready = true;
    ready_.notify_one();
  }
}

BIT_FUNC std::exception_ptr ordered_tasks::take(float* out) {
  slot& next = slots_[taken_ % slots_.size()];
  {
    std::unique_lock lock(mutex_);
    if (!next.ready) {
      const auto start = std::chrono::steady_clock::now();
      ready_.wait(lock, [&] { return next.ready; });
      waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    next.ready = false;
  }
  ++taken_;  // only this thread pushes, so the slot is not filled again before the copy is done
  std::exception_ptr failure = std::exchange(next.failure, nullptr);
  if (!failure) std::ranges::copy(next.result, out);
  return failure;
}

BIT_FUNC std::size_t decoding_threads(std::size_t threads, std::size_t items) {
  const std::size_t processors = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 8);
  return std::min(threads != 0 ? threads : processors, items);
}

BIT_FUNC std::optional<std::string> fault_of_file(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const format_error& e) {
    return e.what();
  } catch (const io_error& e) {
    return e.what();
  } catch (...) {  // the caller still holds it
    return std::nullopt;
  }
}

}  // namespace bit::inline BIT_ABI::data::detail
