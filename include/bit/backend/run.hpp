// SPDX-License-Identifier: Apache-2.0
// What goes into one run of a plan, the same for every backend: the images and the options.
#pragma once

#include <bit/tensor.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <span>

namespace bit::inline BIT_ABI {

/// A view of a caller's batch of images at any strides, which are counted in elements. It does not own them.
template <class T>
struct image_view {
  const T* data = nullptr;
  dims4 dims;
  std::ptrdiff_t stride_n = 0, stride_c = 0, stride_h = 0, stride_w = 0;

  const T& at(std::size_t n, std::size_t c, std::size_t h, std::size_t w) const {
    return data[static_cast<std::ptrdiff_t>(n) * stride_n + static_cast<std::ptrdiff_t>(c) * stride_c +
                static_cast<std::ptrdiff_t>(h) * stride_h + static_cast<std::ptrdiff_t>(w) * stride_w];
  }
};

/// Returns the view of a row-major batch. Throws shape_error for more than max_elements elements.
template <class T>
image_view<T> view_of(const T* data, const dims4& d, layout order) {
  static_cast<void>(d.size());
  const auto c = static_cast<std::ptrdiff_t>(d.c), h = static_cast<std::ptrdiff_t>(d.h),
             w = static_cast<std::ptrdiff_t>(d.w);
  if (order == layout::nchw) return {data, d, c * h * w, h * w, w, 1};
  return {data, d, c * h * w, 1, w * c, c};
}

/// These options say how to run a plan once on images in the machine's memory.
struct run_options {
  /// So many threads share the work; 0 stands for what OMP_NUM_THREADS, the affinity mask and the cgroup allow. A
  /// device ignores it.
  std::size_t threads = 0;
  /// Feature maps among the outputs get this order; matrices are (n,c) in either.
  layout output_layout = layout::nchw;
  /// The calling thread asks it between steps, and true abandons the run. A device asks before it begins and after it
  /// has finished, since its steps are put into a queue all at once.
  std::function<bool()> interrupted = nullptr;
  /// Receives the seconds of each step, from the end of the one before as the calling thread sees it, as far as the
  /// span reaches; copying the outputs to the caller comes after the last. Nothing is measured if it is empty. A device
  /// measures with marks in its queue.
  std::span<double> step_seconds = {};
};

namespace detail {

/// Writes run_options::step_seconds. The threads of a call share it.
class step_timer {
 public:
  explicit step_timer(std::span<double> seconds) : seconds_(seconds) {
    if (!seconds_.empty()) last_ = clock::now();
  }
  /// Notes that step `i` has ended and the next one begins. Each thread notes it, and the first counts: one that the
  /// system has put aside comes when others have finished further steps, which would then seem to take no time.
  void finished(std::size_t i) {
    if (i >= seconds_.size()) return;
    const std::lock_guard lock(mutex_);
    if (i < next_) return;
    const clock::time_point now = clock::now();
    seconds_[i] = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    next_ = i + 1;
  }

 private:
  using clock = std::chrono::steady_clock;
  std::span<double> seconds_;
  clock::time_point last_;
  std::size_t next_ = 0;
  std::mutex mutex_;
};

}  // namespace detail

}  // namespace bit::inline BIT_ABI
