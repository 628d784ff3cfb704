// SPDX-License-Identifier: Apache-2.0
// A backend whose memory the host cannot reach and whose work is done by a queue's thread: what a GPU will be, on any
// machine. The arithmetic is another backend's.
#pragma once

#include <sys/mman.h>
#include <atomic>
#include <bit/backend/device.hpp>
#include <bit/error.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace test {

/// Memory of device 0. Its addresses are reserved without access, so that a host that follows one dies of it; what lies
/// there is kept elsewhere. New memory is full of NaN.
class device_memory {
 public:
  static device_memory& get() {
    static device_memory memory;
    return memory;
  }
  void* allocate(std::size_t bytes) {
    bytes = std::max(bytes, std::size_t{1});
    void* const address = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) throw bit::device_error("[device] no addresses are left");
    const std::lock_guard lock(mutex_);
    blocks_.emplace(static_cast<std::byte*>(address), std::vector<std::byte>(bytes, std::byte{0xff}));
    return address;
  }
  void free(void* address) {
    const std::lock_guard lock(mutex_);
    const auto at = blocks_.find(static_cast<std::byte*>(address));
    ::munmap(address, at->second.size());
    blocks_.erase(at);
  }
  /// Where `bytes` bytes from `address` on are kept; throws device_error if they are no memory of the device.
  std::byte* translate(const void* address, std::size_t bytes) {
    const auto* const from = static_cast<const std::byte*>(address);
    const std::lock_guard lock(mutex_);
    auto at = blocks_.upper_bound(const_cast<std::byte*>(from));
    if (at == blocks_.begin() || (--at, from + bytes > at->first + at->second.size()))
      throw bit::device_error("[device] expected an address in the device's memory, got one of the host");
    return at->second.data() + (from - at->first);
  }

 private:
  std::mutex mutex_;
  std::map<std::byte*, std::vector<std::byte>> blocks_;
};

/// Room for `size` numbers on the device.
template <class T>
class device_array {
 public:
  explicit device_array(std::size_t size) : bytes_(size * sizeof(T)), data_(device_memory::get().allocate(bytes_)) {}
  explicit device_array(std::span<const T> values) : device_array(values.size()) {
    if (bytes_ > 0) std::memcpy(device_memory::get().translate(data_, bytes_), values.data(), bytes_);
  }
  device_array(const device_array&) = delete;
  device_array& operator=(const device_array&) = delete;
  ~device_array() { device_memory::get().free(data_); }
  void* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> out(bytes_ / sizeof(T));
    if (bytes_ > 0) std::memcpy(out.data(), device_memory::get().translate(data_, bytes_), bytes_);
    return out;
  }

 private:
  std::size_t bytes_;
  void* data_;
};

/// Set once by a piece of work in a queue.
class device_event {
 public:
  void set() {
    const std::lock_guard lock(mutex_);
    happened_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return happened_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool happened_ = false;
};

/// Does its work one piece after the other in a thread of its own. What goes wrong there comes out of wait().
class device_queue {
 public:
  device_queue() : worker_([this] { work(); }) {}
  ~device_queue() {
    push(nullptr);
    worker_.join();
  }
  void push(std::function<void()> piece) {
    const std::lock_guard lock(mutex_);
    pieces_.push_back(std::move(piece));
    ++pending_;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return pending_ == 0; });
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  void work() {
    for (std::unique_lock lock(mutex_);;) {
      changed_.wait(lock, [&] { return !pieces_.empty(); });
      const auto piece = std::move(pieces_.front());
      pieces_.pop_front();
      if (!piece) return;
      lock.unlock();
      std::exception_ptr failure;
      try {
        piece();
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure) failure_ = failure;
      --pending_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> pieces_;
  std::size_t pending_ = 0;
  std::exception_ptr failure_;
  std::thread worker_;
};

/// The bytes that a tensor of T spans, at the place where they are kept.
template <class T>
T* translate(const bit::device_tensor& t) {
  std::ptrdiff_t lowest = 0, highest = 0;
  const std::pair<std::size_t, std::ptrdiff_t> axes[] = {
      {t.dims.n, t.stride_n}, {t.dims.c, t.stride_c}, {t.dims.h, t.stride_h}, {t.dims.w, t.stride_w}};
  for (const auto& [size, stride] : axes) {
    const std::ptrdiff_t reach = stride * (static_cast<std::ptrdiff_t>(size) - 1);
    (reach < 0 ? lowest : highest) += reach;
  }
  const T* const first = static_cast<const T*>(t.data) + lowest;
  return reinterpret_cast<T*>(
             device_memory::get().translate(first, static_cast<std::size_t>(highest - lowest + 1) * sizeof(T))) -
         lowest;
}

/// The arithmetic of `Inner` on the device.
template <class Inner>
struct on_device {
  using value_type = typename Inner::value_type;
  using weights = typename Inner::weights;
  using queue = device_queue*;
  static constexpr std::size_t map_bytes = Inner::map_bytes, largest_batch = 8;
  static constexpr bit::dtype type = sizeof(value_type) == 4 ? bit::dtype::float32 : bit::dtype::float64;
  static std::size_t memory_bytes() { return std::size_t{1} << 30; }
  static std::size_t threads(std::size_t) { return 1; }

  /// Remembers its last run, which the next one in any queue waits for.
  struct workspace {
    explicit workspace(std::size_t bytes) : memory(bytes) {}
    workspace(const workspace&) = delete;
    workspace& operator=(const workspace&) = delete;
    ~workspace() {
      if (last_run) last_run->wait();
    }
    typename Inner::workspace memory;
    std::shared_ptr<device_event> last_run;
    std::mutex mutex;
  };

  class plan {
   public:
    plan(const bit::program& p, std::shared_ptr<const weights> from) : plan_(p, std::move(from)) {
      for (const bit::value_id id : p.outputs) outputs_.push_back(p[id].dims);
    }
    plan(const plan&) = delete;
    plan& operator=(const plan&) = delete;
    ~plan() {
      for (std::size_t left; (left = *in_queues_) > 0;) in_queues_->wait(left);
    }

    std::size_t workspace_bytes(std::size_t threads) const { return plan_.workspace_bytes(threads); }
    const bit::memory_plan& memory() const { return plan_.memory(); }
    std::vector<bit::step_profile> report(const bit::program& p) const { return plan_.report(p); }

    void enqueue(const bit::device_tensor& image, std::span<const bit::device_tensor> outputs, workspace& memory,
                 queue to) const {
      enqueue(image, {outputs.begin(), outputs.end()}, memory, to, {});
    }

    /// Copies in, runs, copies out.
    bool run(const bit::image_view<value_type>& image, std::span<value_type* const> outputs, workspace& memory,
             const bit::run_options& options) const {
      if (options.interrupted && options.interrupted()) return false;
      const bit::dims4& d = image.dims;
      std::vector<value_type> values;
      for (std::size_t n = 0; n < d.n; ++n)
        for (std::size_t c = 0; c < d.c; ++c)
          for (std::size_t h = 0; h < d.h; ++h)
            for (std::size_t w = 0; w < d.w; ++w) values.push_back(image.at(n, c, h, w));
      const device_array<value_type> there{std::span<const value_type>(values)};
      std::vector<std::unique_ptr<device_array<value_type>>> results;
      std::vector<bit::device_tensor> tensors;
      for (const bit::dims4& out : outputs_) {
        results.push_back(std::make_unique<device_array<value_type>>(out.size()));
        tensors.push_back(bit::device_view_of(results.back()->data(), out, options.output_layout, type));
      }
      device_queue own;
      bit::run_options inner;
      inner.step_seconds = options.step_seconds;
      enqueue(bit::device_view_of(there.data(), d, bit::layout::nchw, type), tensors, memory, &own, inner);
      own.wait();
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto result = results[i]->values();
        std::copy(result.begin(), result.end(), outputs[i]);
      }
      return !(options.interrupted && options.interrupted());
    }

   private:
    void enqueue(const bit::device_tensor& image, std::vector<bit::device_tensor> outputs, workspace& memory, queue to,
                 bit::run_options options) const {
      translate<value_type>(image);  // refuses the host's memory at once
      if (image.type != type)
        throw bit::device_error(std::string("[device] expected ") + bit::to_string(type) + " images, got " +
                                bit::to_string(image.type));
      for (const bit::device_tensor& t : outputs) translate<value_type>(t);
      options.threads = 1;
      const auto done = std::make_shared<device_event>();
      const std::lock_guard lock(memory.mutex);
      const auto before = std::exchange(memory.last_run, done);
      ++*in_queues_;
      to->push([this, image, outputs = std::move(outputs), &memory, before, done, options, count = in_queues_] {
        if (before) before->wait();
        std::exception_ptr failure;
        try {
          compute(image, outputs, memory, options);
        } catch (...) {
          failure = std::current_exception();
        }
        done->set();  // from here on workspace and plan may be gone
        --*count;
        count->notify_all();
        if (failure) std::rethrow_exception(failure);
      });
    }

    void compute(const bit::device_tensor& image, const std::vector<bit::device_tensor>& outputs, workspace& memory,
                 const bit::run_options& options) const {
      const bit::image_view<value_type> view{
          translate<value_type>(image), image.dims, image.stride_n, image.stride_c, image.stride_h, image.stride_w};
      std::vector<std::vector<value_type>> results;
      std::vector<value_type*> pointers;
      for (const bit::device_tensor& t : outputs) pointers.push_back(results.emplace_back(t.dims.size()).data());
      plan_.run(view, pointers, memory.memory, options);
      for (std::size_t i = 0; i < outputs.size(); ++i) scatter(results[i], outputs[i]);
    }

    static void scatter(const std::vector<value_type>& from, const bit::device_tensor& to) {
      value_type* const first = translate<value_type>(to);
      const value_type* next = from.data();
      for (std::size_t n = 0; n < to.dims.n; ++n)
        for (std::size_t c = 0; c < to.dims.c; ++c)
          for (std::size_t h = 0; h < to.dims.h; ++h)
            for (std::size_t w = 0; w < to.dims.w; ++w)
              first[static_cast<std::ptrdiff_t>(n) * to.stride_n + static_cast<std::ptrdiff_t>(c) * to.stride_c +
                    static_cast<std::ptrdiff_t>(h) * to.stride_h + static_cast<std::ptrdiff_t>(w) * to.stride_w] =
                  *next++;
    }

    typename Inner::plan plan_;
    std::vector<bit::dims4> outputs_;
    /// Runs that have not finished.
    std::shared_ptr<std::atomic<std::size_t>> in_queues_ = std::make_shared<std::atomic<std::size_t>>(0);
  };
};

}  // namespace test
