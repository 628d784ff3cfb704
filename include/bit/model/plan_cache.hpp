// SPDX-License-Identifier: Apache-2.0
// Plans of a frozen model by what they compute, each made once and without keeping other threads from working.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit/tensor.hpp>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// A least-recently-used cache of plans. Every member may be called by any number of threads at once.
template <class Plan>
class plan_cache {
 public:
  /// It says what a plan computes. It does not own the names.
  struct key {
    dims4 dims;  ///< of the images, or of the features that the classifier alone starts from
    std::span<const std::string> names;
    bool classifier_alone = false;
  };
  /// It holds a plan and the sizes of its outputs.
  struct planned {
    std::shared_ptr<const Plan> plan;
    std::vector<dims4> outputs;
  };

  /// Returns the plan for `what`; one that is not there is made by build(), which returns a `planned`. build() runs
  /// without a lock: other threads find and make other plans meanwhile, and those that want the same one wait for it. An
  /// exception of build() reaches all of them and is forgotten, so that the next call tries again.
  template <class Build>
  std::shared_ptr<const Plan> find(const key& what, Build build) {
    std::shared_ptr<slot> oldest;  // destroyed without the lock: a device may have to be waited for
    std::unique_lock lock(mutex_);
    drop_orphans();
    const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const auto& s) { return s->is_for(what); });
    if (found != slots_.end()) {
      const std::shared_ptr<slot> wanted = *found;
      std::rotate(found, found + 1, slots_.end());
      lock.unlock();
      if (!wanted->finished) {
        ++waiting_;
        wanted->finished.wait(false);
        --waiting_;
      }
      if (wanted->failure) std::rethrow_exception(wanted->failure);
      return wanted->made.plan;
    }
    const auto own = std::make_shared<slot>(what);
    if (slots_.size() == max_plans) {
      oldest = std::move(slots_.front());
      slots_.erase(slots_.begin());
    }
    slots_.push_back(own);
    lock.unlock();
    std::exception_ptr& failure = own->failure;
    try {
      own->made = build();
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) {
      lock.lock();
      std::erase(slots_, own);
      lock.unlock();
    }
    own->finished = true;
    own->finished.notify_all();
    if (failure) std::rethrow_exception(failure);
    return own->made.plan;
  }

  /// Returns the size of output `name` for images of this size, if a plan that has been made tells it.
  std::optional<dims4> output_dims(const std::string& name, const dims4& images) const {
    const std::lock_guard lock(mutex_);
    for (const auto& s : slots_) {
      const auto at = std::find(s->names.begin(), s->names.end(), name);
      if (s->dims == images && !s->classifier_alone && at != s->names.end() && s->finished && !s->failure)
        return s->made.outputs[static_cast<std::size_t>(at - s->names.begin())];
    }
    return std::nullopt;
  }

  /// Forgets all plans; those in use live until their calls end.
  void clear() {
    std::vector<std::shared_ptr<slot>> old;  // destroyed without the lock
    const std::lock_guard lock(mutex_);
    old.swap(slots_);
  }

  /// Returns the number of calls that wait for a plan which another thread is making.
  std::size_t waiting() const { return waiting_; }
  /// Returns the number of plans that are kept or in the making.
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return slots_.size();
  }

 private:
  /// Plans of this many shapes are kept; the one not used for longest goes first.
  static constexpr std::size_t max_plans = 64;

  struct slot {
    explicit slot(const key& k)
        : dims(k.dims), names(k.names.begin(), k.names.end()), classifier_alone(k.classifier_alone) {}
    dims4 dims;
    std::vector<std::string> names;
    bool classifier_alone;
    planned made;                ///< written by the maker before `finished`, and never after
    std::exception_ptr failure;  ///< likewise
    std::atomic<bool> finished{false};
    pid_t maker = ::getpid();  ///< the process whose thread makes the plan

    bool is_for(const key& k) const {
      return dims == k.dims && classifier_alone == k.classifier_alone &&
             std::equal(names.begin(), names.end(), k.names.begin(), k.names.end());
    }
  };

  /// Forgets plans that threads of the parent were making when this process was forked: no thread finishes them here.
  void drop_orphans() {
    std::erase_if(slots_, [](const auto& s) { return !s->finished && s->maker != ::getpid(); });
  }

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<slot>> slots_;  ///< most recently used last
  std::atomic<std::size_t> waiting_{0};
};

}  // namespace bit::inline BIT_ABI::detail
