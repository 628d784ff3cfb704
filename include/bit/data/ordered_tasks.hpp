// SPDX-License-Identifier: Apache-2.0
// Threads that prepare images ahead for a caller that consumes them in order; what the loaders share.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::data::detail {

/// Runs tasks on its threads and hands out their results in the order in which the tasks came. push(), take() and stop()
/// are for one thread at a time. Idle threads sleep.
class ordered_tasks {
 public:
  /// Fills a buffer that it may find with any size and content; what it throws is handed to take().
  using task = std::function<void(std::vector<float>& out)>;

  /// At most `capacity` tasks are waiting, running or done at a time; each keeps its buffer.
  BIT_FUNC ordered_tasks(std::size_t threads, std::size_t capacity);
  ordered_tasks(const ordered_tasks&) = delete;
  ordered_tasks& operator=(const ordered_tasks&) = delete;
  /// As stop().
  BIT_FUNC ~ordered_tasks();

  /// How many tasks may be pushed before the next take().
  std::size_t room() const { return slots_.size() - (pushed_ - taken_); }
  /// Number of tasks pushed and taken so far.
  std::size_t pushed() const { return pushed_; }
  std::size_t taken() const { return taken_; }
  /// Appends a task; room() must not be 0.
  BIT_FUNC void push(task work);
  /// Waits for the next task and copies its result to `out`; returns what it threw, if anything.
  BIT_FUNC std::exception_ptr take(float* out);
  /// Seconds that take() has waited so far.
  double waited_seconds() const { return waited_seconds_; }
  /// Ends the threads as soon as each is through with its present task; nothing can be pushed or taken afterwards.
  BIT_FUNC void stop();
  bool stopped() const { return stopped_; }

 private:
  struct slot {
    task work;
    std::vector<float> result;
    std::exception_ptr failure;
    bool ready = false;
  };
  BIT_FUNC void work();

  std::size_t taken_ = 0;
  double waited_seconds_ = 0;
  std::mutex mutex_;  // guards what follows; a slot's content belongs to its thread, then, once ready, to take()
  std::condition_variable work_, ready_;
  std::vector<slot> slots_;  // task i is in slot i % slots_.size()
  std::size_t pushed_ = 0, claimed_ = 0;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

/// `threads`, or one per processor but at most 8 if it is 0; never more than `items`.
BIT_FUNC std::size_t decoding_threads(std::size_t threads, std::size_t items);

/// The message if `failure` is a file's fault (format_error, io_error) and may be passed over; nothing for others.
BIT_FUNC std::optional<std::string> fault_of_file(const std::exception_ptr& failure);

}  // namespace bit::inline BIT_ABI::data::detail

#if BIT_HEADER_ONLY
#include <bit/data/ordered_tasks.ipp>
#endif
