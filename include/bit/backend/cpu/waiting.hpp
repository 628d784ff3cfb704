// Waiting for other threads of one call: spins for a bounded while, because a step ends within microseconds on an idle
// machine, then sleeps, because on a busy one the thread that is waited for may need this very processor.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace bit::inline v0::detail {

/// Tells the processor that this thread only waits.
inline void cpu_pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// How long one thread spins in the waits of one call. A wait that sleeps long is for a thread that the system has put
/// aside: there is a neighbour, and it will happen again, so the next wait is short. One that sleeps for a moment should
/// have spun on, so the next is longer. R50x1 at batch 1 on two cores, median of the direct path (Emerald Rapids, 45 ns a
/// pause): 27.9 ms with 1000 pauses, where a wait of 45 µs ended in sleep and 10 µs of waking, 27.2 with 3000; 27.5 where
/// waits stayed short to the end of a call that was disturbed once. Beside one busy process 58 ms with 3000 throughout;
/// 56 where waits stayed short and, in turns with it, 54 with this rule.
class spin_policy {
 public:
  static constexpr int at_first = 3000, after_long_sleep = 300;
  static constexpr std::chrono::microseconds long_sleep{100};

  explicit spin_policy(int spins = at_first) : spins_(spins) {}

  /// Pauses before the next wait sleeps.
  int spins() const { return spins_; }

  /// Waits until `word` is no longer `value`; returns what it is then. Whoever changes the word calls change().
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

  /// Learns from a wait that slept.
  void slept(std::chrono::nanoseconds time) {
    spins_ = time < long_sleep ? std::min(2 * spins_, at_first) : after_long_sleep;
  }

 private:
  int spins_;
};

/// Sets `word` and wakes all that sleep on it. Sequentially consistent: the store may not pass the look for sleepers,
/// or the last one to fall asleep is missed.
inline void change(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  word.store(value, std::memory_order_seq_cst);
  word.notify_all();
}

}  // namespace bit::inline v0::detail
