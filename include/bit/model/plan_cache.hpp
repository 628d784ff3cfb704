// Plans of a frozen model by what they compute, each made once and without keeping other threads from working.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <bit/tensor.hpp>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bit::inline v0::detail {

/// A least-recently-used cache of plans. Every member may be called by any number of threads at once.
template <class Plan>
class plan_cache {
 public:
  /// What a plan computes; the names are not owned.
  struct key {
    dims4 dims;  ///< of the images, or of the features that the classifier alone starts from
    std::span<const std::string> names;
    bool classifier_alone = false;
  };
  /// A plan and the sizes of its outputs.
  struct planned {
    std::shared_ptr<const Plan> plan;
    std::vector<dims4> outputs;
  };

  /// The plan for `what`; one that is not there is made by build(), which returns a `planned`. It runs without a lock: other threads find and make other plans meanwhile, and those that want the same one wait
  /// for it. An exception of build() reaches all of them and is forgotten, so that the next call tries again.
  template <class Build>
  std::shared_ptr<const Plan> find(const key& what, Build build) {
    std::unique_lock lock(mutex_);
    drop_orphans();
    const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const auto& s) { return s->is_for(what); });
    if (found != slots_.end()) {
      const std::shared_ptr<slot> wanted = *found;
      std::rotate(found, found + 1, slots_.end());
      ++waiting_;
      finished_.wait(lock, [&] { return wanted->is_finished(); });
      --waiting_;
      if (wanted->failure) std::rethrow_exception(wanted->failure);
      return wanted->made.plan;
    }
    const auto own = std::make_shared<slot>(slot(what));
    if (slots_.size() == max_plans) slots_.erase(slots_.begin());
    slots_.push_back(own);
    lock.unlock();
    planned made;
    std::exception_ptr failure;
    try {
      made = build();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    own->made = std::move(made);
    own->failure = failure;
    if (failure) std::erase(slots_, own);
    lock.unlock();
    finished_.notify_all();
    if (failure) std::rethrow_exception(failure);
    return own->made.plan;
  }

  /// The size of output `name` for images of this size, if a plan that has been made tells it.
  std::optional<dims4> output_dims(const std::string& name, const dims4& images) const {
    const std::lock_guard lock(mutex_);
    for (const auto& s : slots_) {
      const auto at = std::find(s->names.begin(), s->names.end(), name);
      if (s->dims == images && !s->classifier_alone && s->made.plan && at != s->names.end())
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

  /// Number of calls that wait for a plan which another thread is making.
  std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }
  /// Number of plans that are kept or in the making.
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
    planned made;
    std::exception_ptr failure;
    pid_t maker = ::getpid();  ///< the process whose thread makes the plan

    bool is_for(const key& k) const {
      return dims == k.dims && classifier_alone == k.classifier_alone &&
             std::equal(names.begin(), names.end(), k.names.begin(), k.names.end());
    }
    bool is_finished() const { return made.plan || failure; }
  };

  /// In a forked child nobody finishes what threads of the parent were making: forgets such plans.
  void drop_orphans() {
    std::erase_if(slots_, [](const auto& s) { return !s->is_finished() && s->maker != ::getpid(); });
  }

  mutable std::mutex mutex_;
  std::condition_variable finished_;
  std::vector<std::shared_ptr<slot>> slots_;  ///< most recently used last
  std::size_t waiting_ = 0;
};

}  // namespace bit::inline v0::detail
