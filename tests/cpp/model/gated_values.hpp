// SPDX-License-Identifier: Apache-2.0
// A tensor whose reading can be held up, counted and made to fail: a slow or broken disk.
#pragma once

#include <atomic>
#include <bit/error.hpp>
#include <bit/program/parameter.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace test {

/// Holds up the first reader after close() until open(); others pass.
class gate {
 public:
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    closed_ = held_ = false;
    changed_.notify_all();
  }
  /// Waits until a reader stands at the gate.
  void wait_for_reader() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_; });
  }
  void pass() {
    std::unique_lock lock(mutex_);
    if (!closed_ || held_) return;
    held_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false, held_ = false;
};

/// Values that are read in parts, as those of a file are, each time through a gate.
class gated_values final : public bit::tensor_data {
 public:
  explicit gated_values(const bit::named_tensor& from) : values_(from.size()) {
    from.data->read(std::span<float>(values_));
  }
  void read(std::span<float> out) const override { read_part(0, out); }
  void read(std::span<double> out) const override {
    door.pass();
    ++reads;
    std::copy(values_.begin(), values_.end(), out.begin());
  }
  bool is_snapshot() const override { return true; }
  bool has_parts() const override { return true; }
  std::uint32_t read_part(std::size_t first, std::span<float> out) const override {
    door.pass();
    ++reads;
    if (broken) throw bit::io_error("the disk is gone", 5);
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first), out.size(), out.begin());
    return 0;
  }

  mutable gate door;
  mutable std::atomic<int> reads{0};
  std::atomic<bool> broken{false};

 private:
  std::vector<float> values_;
};

/// The 3x3 kernel of the first unit, of stride 1: one that plans pack in the layout that suits their shape.
inline std::shared_ptr<gated_values> put_gate_before_a_kernel(std::vector<bit::named_tensor>& tensors) {
  for (bit::named_tensor& t : tensors)
    if (t.name == "resnet/block1/unit01/b/standardized_conv2d/kernel") {
      auto gated = std::make_shared<gated_values>(t);
      t.data = gated;
      return gated;
    }
  throw bit::config_error("no such kernel");
}

}  // namespace test
