// SPDX-License-Identifier: Apache-2.0
// How a thread waits for the other threads of its call. It spins for a bounded time, because on an idle machine a step
// ends within microseconds, and then sleeps, because on a busy machine the thread that it waits for may need this
// processor.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit/config.hpp>
#include <chrono>
#include <cstdint>

namespace bit::inline BIT_ABI::detail {

/// Tells the processor that this thread only waits.
inline void cpu_pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Decides how long one thread spins before it sleeps, in the waits of one call. A wait that slept for long was for a
/// thread that the system had suspended: another process uses the processors, and it will happen again, so the next
/// wait spins for a shorter time. A wait that slept for a moment only should have spun on, so the next one spins for
/// longer. Measured on R50x1 at batch 1 on two cores (median of the direct algorithm, Emerald Rapids, 45 ns per pause):
/// 27.9 ms with 1000 pauses, where a wait of 45 µs ended in sleep and 10 µs of waking up; 27.2 ms with 3000; 27.5 ms if
/// waits stayed short to the end of a call that had been disturbed once. Beside one busy process: 58 ms with 3000
/// throughout, 56 ms if waits stayed short, 54 ms with this rule (measured in turns).
class spin_policy {
 public:
  static constexpr int at_first = 3000, after_long_sleep = 300;
  static constexpr std::chrono::microseconds long_sleep{100};

  explicit spin_policy(int spins = at_first) : spins_(spins) {}

  /// How many pauses the next wait makes before it sleeps.
  int spins() const { return spins_; }

  /// Waits until `word` is no longer `value` and returns its new value. The word must be changed by change().
  std::uint32_t wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t value) {
    for (int i = 0; i < spins_; ++i) {
      if (const std::uint32_t now = word.load(std::memory_order_acquire); now != value) return now;
      cpu_pause();
    }
    const auto begin = std::chrono::steady_clock::now();
    word.wait(value, std::memory_order_acquire);
    slept(std::chrono::steady_clock::now() - begin);
    return word.load(std::memory_order_acquire);
  }

  /// Adapts the time to a wait that slept for `time`.
  void slept(std::chrono::nanoseconds time) {
    spins_ = time < long_sleep ? std::min(2 * spins_, at_first) : after_long_sleep;
  }

 private:
  int spins_;
};

/// Sets `word` and wakes all threads that sleep on it. The store is sequentially consistent: if it could be reordered
/// after the check for sleeping threads, the last thread to fall asleep would be missed.
inline void change(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  word.store(value, std::memory_order_seq_cst);
  word.notify_all();
}

}  // namespace bit::inline BIT_ABI::detail
