// SPDX-License-Identifier: Apache-2.0
// Workspaces of a frozen model's calls, kept between calls and given back after a burst.
#pragma once

#include <algorithm>
#include <bit/config.hpp>
#include <cstddef>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace bit::inline BIT_ABI::detail {

/// Lends a workspace to each call. Idle ones are kept only as far as the last 64 to 128 calls needed them: as many as
/// ran at once, none larger than the largest. Every member may be called by any number of threads at once.
template <class Workspace>
class workspace_pool {
  struct sized {
    std::size_t bytes = 0;
    std::unique_ptr<Workspace> memory;
  };
  using list = std::list<sized>;  // nodes move between lists, so that giving back allocates nothing and cannot fail

 public:
  /// It holds a workspace on loan, and its destructor gives it back.
  class lease {
   public:
    lease(workspace_pool& pool, list&& own) : pool_(pool), own_(std::move(own)) {}
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease() { pool_.give_back(std::move(own_)); }
    Workspace& operator*() const { return *own_.front().memory; }

   private:
    workspace_pool& pool_;
    list own_;
  };

  /// Returns a workspace of at least `bytes` bytes. Throws what making one throws, std::bad_alloc for instance.
  lease take(std::size_t bytes) {
    list own = begin_call(bytes);
    if (own.empty()) {
      try {
        own.push_back({bytes, std::make_unique<Workspace>(bytes)});
      } catch (...) {
        const std::lock_guard lock(mutex_);
        --running_;
        throw;
      }
    }
    return lease(*this, std::move(own));
  }

  /// Frees all idle workspaces.
  void clear() {
    list old;  // destroyed without the lock
    const std::lock_guard lock(mutex_);
    old.swap(idle_);
  }

  /// Returns the bytes of the idle workspaces.
  std::size_t idle_bytes() const {
    const std::lock_guard lock(mutex_);
    std::size_t total = 0;
    for (const sized& s : idle_) total += s.bytes;
    return total;
  }

 private:
  /// The peaks of so many calls are taken together.
  static constexpr std::size_t window = 64;

  struct peaks {
    std::size_t running = 0, bytes = 0;
  };

  /// Counts a call that begins, and takes the idle workspace that was used last of those that are large enough.
  list begin_call(std::size_t bytes) {
    list found, too_small;  // the second is destroyed without the lock
    const std::lock_guard lock(mutex_);
    if (calls_++ % window == 0) before_ = std::exchange(now_, peaks{running_, 0});
    ++running_;
    now_.running = std::max(now_.running, running_);
    now_.bytes = std::max(now_.bytes, bytes);
    const auto fit = std::find_if(idle_.begin(), idle_.end(), [&](const sized& s) { return s.bytes >= bytes; });
    if (fit != idle_.end())
      found.splice(found.end(), idle_, fit);
    else if (!idle_.empty())
      too_small.splice(too_small.end(), idle_, idle_.begin());  // replaced: only as many stay as calls overlap
    return found;
  }

  void give_back(list&& own) noexcept {
    list spare;  // destroyed without the lock
    const std::lock_guard lock(mutex_);
    --running_;
    idle_.splice(idle_.begin(), own);
    const std::size_t largest = std::max(now_.bytes, before_.bytes);
    const std::size_t most = std::max(now_.running, before_.running) - running_;
    for (auto at = idle_.end(); at != idle_.begin();) {
      const auto oldest = std::prev(at);
      if (oldest->bytes > largest || idle_.size() > most)
        spare.splice(spare.end(), idle_, oldest);
      else
        at = oldest;
    }
  }

  mutable std::mutex mutex_;
  list idle_;  ///< most recently used first
  std::size_t running_ = 0, calls_ = 0;
  peaks now_, before_;  ///< of this window of calls and the one before it
};

}  // namespace bit::inline BIT_ABI::detail
