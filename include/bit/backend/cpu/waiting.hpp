// Waiting for other threads of one call: spins for a bounded while, because a step ends within microseconds on an idle
// machine, then sleeps, because on a busy one the thread that is waited for may need this very processor.
#pragma once

#include <atomic>
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

}  // namespace bit::inline v0::detail
