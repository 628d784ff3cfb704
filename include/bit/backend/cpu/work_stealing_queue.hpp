// Shares the items of one step after another between threads. Each thread takes its own contiguous range from the front,
// so neighbours stay in one cache; whoever has none left takes from the back of the others'. A step is over when its
// items are done, not when its threads have come: a thread that the system has put aside holds up nobody unless it is
// in the middle of an item. Results do not depend on who takes what, since an item computes the same anywhere.
#pragma once

#include <atomic>
#include <bit/backend/cpu/waiting.hpp>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bit::inline v0::detail {

/// What is left of one thread's range, in one word: 16 bits of step, 24 of begin, 24 of end. A range of an earlier step
/// stands for the whole share that nobody has touched yet, so nobody has to prepare a step.
struct alignas(64) work_slot {
  std::atomic<std::uint64_t> word{0};
};

/// One call's work. Steps are numbered from 1 and come in this order in every thread.
class work_stealing_queue {
 public:
  static constexpr std::size_t max_steps = (std::size_t{1} << 16) - 1, max_items = (std::size_t{1} << 24) - 1;

  /// `slots`: one for each thread; outlives the queue, written by its constructor.
  explicit work_stealing_queue(std::span<work_slot> slots) : slots_(slots) {
    for (work_slot& s : slots_) s.word.store(0, std::memory_order_relaxed);
  }

  /// Calls body(item) for items of step `step` as long as there are any, of all `items`, an item in one thread only.
  /// `threads`, at most slots.size(), and `items` are the same in all threads. Returns how many this thread has done.
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
    // A step without items ends by whoever comes first; others find the same number there.
    if (items == 0) finish_empty(step);
    return done;
  }

  /// Waits until all items of `step` are done; what they have written is visible then.
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

  /// Takes one item from the front or the back of a slot; false if it has none left for this step.
  static bool take(std::atomic<std::uint64_t>& slot, const range& whole, bool front, std::size_t& item) {
    std::uint64_t seen = slot.load(std::memory_order_relaxed);
    while (true) {
      range left = range::of(seen);
      if (left.step > whole.step) return false;  // the others are ahead
      if (left.step < whole.step) left = whole;
      if (left.begin == left.end) return false;
      item = static_cast<std::size_t>(front ? left.begin++ : --left.end);
      // Relaxed: only the number of the item is handed over; data come by finished_.
      if (slot.compare_exchange_weak(seen, left.word(), std::memory_order_relaxed)) return true;
    }
  }

  void finish(std::size_t step) {
    done_.store(0, std::memory_order_relaxed);  // seen before the new step is
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

}  // namespace bit::inline v0::detail
