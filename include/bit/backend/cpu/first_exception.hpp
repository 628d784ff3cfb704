// SPDX-License-Identifier: Apache-2.0
// Exceptions of several threads: the first one is kept for the thread that began the work.
#pragma once

#include <atomic>
#include <bit/config.hpp>
#include <exception>

namespace bit::inline BIT_ABI::detail {

/// Keeps the first exception of several threads. Every member but rethrow() may be called by all of them at once.
class first_exception {
 public:
  /// Calls work() unless an exception has been caught before, and catches what it throws.
  template <class Work>
  void guard(Work work) noexcept {
    if (caught()) return;
    try {
      work();
    } catch (...) {
      if (!caught_.exchange(true)) exception_ = std::current_exception();
    }
  }
  bool caught() const { return caught_.load(std::memory_order_relaxed); }
  /// Throws what was caught, if anything was; for one thread, after the others have ended.
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::atomic<bool> caught_{false};
  std::exception_ptr exception_;
};

}  // namespace bit::inline BIT_ABI::detail
