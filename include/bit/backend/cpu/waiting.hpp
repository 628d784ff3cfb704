// Waiting for other threads of one call: spins for a bounded while, because a step ends within microseconds on an idle
// machine, then sleeps, because on a busy one the thread that is waited for may need this very processor.
#pragma once

#include <atomic>
#include <cstddef>
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

/// Waits until `word` is no longer `value`: `spins` pauses, then sleep. Returns what it is then. Whoever changes the
/// word calls change().
inline std::uint32_t wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t value, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (const std::uint32_t now = word.load(std::memory_order_acquire); now != value) return now;
    cpu_pause();
  }
  word.wait(value, std::memory_order_acquire);
  return word.load(std::memory_order_acquire);
}

/// Sets `word` and wakes all that sleep on it. Sequentially consistent: the store may not pass the look for sleepers,
/// or the last one to fall asleep is missed.
inline void change(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  word.store(value, std::memory_order_seq_cst);
  word.notify_all();
}

/// Pauses before sleep: 27 µs, about what falling asleep and being woken costs (24 µs; Zen 5 virtual machine, 2026-11).
inline constexpr int default_spins = 1000;

/// Lets nobody pass before all have come. For any number of rounds; lives as long as the last of them.
class barrier {
 public:
  explicit barrier(int spins = default_spins) : spins_(spins) {}

  /// Waits until `threads` threads, the same number for all, have called this.
  void wait(std::size_t threads) {
    const std::uint32_t round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < threads) {
      wait_while(round_, round, spins_);
      return;
    }
    arrived_.store(0, std::memory_order_relaxed);  // seen before the new round is
    change(round_, round + 1);
  }

 private:
  alignas(64) std::atomic<std::size_t> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> round_{0};  // a line of its own: who waits does not disturb who arrives
  int spins_;
};

}  // namespace bit::inline v0::detail
