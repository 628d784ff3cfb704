// SPDX-License-Identifier: Apache-2.0
// A work-stealing queue that divides the work items of one step after another among the threads of a call. Each thread
// takes items from the front of its own contiguous range, so that neighbouring items use one cache. A thread that has
// none left steals from the back of the other ranges. A step is over when all its items are done; no thread has to
// arrive at a barrier, so a thread that the system has suspended delays the others only if it is in the middle of an
// item. Results do not depend on which thread takes which item, since an item computes the same in any thread.
#pragma once

#include <atomic>
#include <bit/backend/cpu/waiting.hpp>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bit::inline BIT_ABI::detail {

/// What is left of one thread's range of items, in one word: 16 bits for the step, 24 for its begin, 24 for its end. A
/// word with the number of an earlier step means that the thread's whole range of the current step is left; so no
/// thread has to initialise a step.
struct alignas(64) work_slot {
  std::atomic<std::uint64_t> word{0};
};

/// The queue of one call. Steps are numbered from 1 on, and every thread goes through them in this order.
class work_stealing_queue {
 public:
  static constexpr std::size_t max_steps = (std::size_t{1} << 16) - 1, max_items = (std::size_t{1} << 24) - 1;

  /// `slots` has one slot for each thread. The caller owns it and keeps it as long as the queue lives; the constructor
  /// initialises it.
  explicit work_stealing_queue(std::span<work_slot> slots) : slots_(slots) {
    for (work_slot& s : slots_) s.word.store(0, std::memory_order_relaxed);
  }

  /// Calls body(item) for one item of step `step` after the other, as long as any of the `items` is left. Each item is
  /// given to exactly one thread. `threads`, at most slots.size(), and `items`, at most max_items, must be the same in
  /// all threads; `thread` is the caller's number. Returns how many items this thread has done.
  template <class Body>
  std::size_t work(std::size_t step, std::size_t items, std::size_t thread, std::size_t threads, const Body& body) {
    if (finished_.load(std::memory_order_acquire) >= step) return 0;
    std::size_t item = 0, done = 0;
    for (std::size_t i = 0; i < threads; ++i) {
      const std::size_t victim = (thread + i) % threads;
      const range whole{step, items * victim / threads, items * (victim + 1) / threads};
      for (; take(slots_[victim].word, whole, i == 0, item); ++done) body(item);
    }
    if (done > 0 && done_.fetch_add(done, std::memory_order_acq_rel) + done == items) finish(step);
    // A step without items is ended by the first thread that arrives; the others see that it has ended.
    if (items == 0) finish_empty(step);
    return done;
  }

  /// Waits until all items of `step` are done. What they have written is visible to the caller then.
  void wait(std::size_t step, spin_policy& waits) const {
    for (std::uint32_t now = finished_.load(std::memory_order_acquire); now < step;)
      now = waits.wait_while(finished_, now);
  }

 private:
  struct range {
    std::uint64_t step, begin, end;

    static range of(std::uint64_t w) { return {w >> 48, (w >> 24) & max_items, w & max_items}; }
    std::uint64_t word() const { return step << 48 | begin << 24 | end; }
  };

  /// Takes one item from the front or the back of a slot's range. Returns false if none is left for the step of
  /// `whole`, which is the slot's whole range.
  static bool take(std::atomic<std::uint64_t>& slot, const range& whole, bool front, std::size_t& item) {
    std::uint64_t seen = slot.load(std::memory_order_relaxed);
    while (true) {
      range left = range::of(seen);
      if (left.step > whole.step) return false;  // other threads have begun a later step: this one is over
      if (left.step < whole.step) left = whole;
      if (left.begin == left.end) return false;
      item = static_cast<std::size_t>(front ? left.begin++ : --left.end);
      // Relaxed, because only the item's number passes between threads here; the data are ordered by finished_.
      if (slot.compare_exchange_weak(seen, left.word(), std::memory_order_relaxed)) return true;
    }
  }

  void finish(std::size_t step) {
    done_.store(0, std::memory_order_relaxed);  // change() makes it visible before the next step
    change(finished_, static_cast<std::uint32_t>(step));
  }

  void finish_empty(std::size_t step) {
    auto before = static_cast<std::uint32_t>(step - 1);
    if (finished_.compare_exchange_strong(before, static_cast<std::uint32_t>(step))) finished_.notify_all();
  }

  alignas(64) std::atomic<std::uint32_t> finished_{0};  ///< the last step whose items are all done
  std::span<work_slot> slots_;
  alignas(64) std::atomic<std::size_t> done_{0};
};

}  // namespace bit::inline BIT_ABI::detail
