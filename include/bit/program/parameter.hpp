// SPDX-License-Identifier: Apache-2.0
// Where parameters' values come from: memory, a mapped checkpoint, a deflated entry, another layout or dtype.
// Reading is lazy, so that loading a checkpoint copies nothing and freezing streams one tensor at a time.
#pragma once

#include <algorithm>
#include <bit/config.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace bit::inline BIT_ABI {

/// It gives the values of one tensor, which it does not change, in the official layout (convolution kernels HWIO, the
/// head (1,1,c,classes)), row-major. Every member may be called by several threads at once.
class tensor_data {
 public:
  virtual ~tensor_data() = default;
  /// Writes all values to `out`, whose size is the tensor's. Throws format_error or io_error if the file is damaged.
  virtual void read(std::span<float> out) const = 0;
  /// Does the same in double precision, which is exact for files that hold float64.
  virtual void read(std::span<double> out) const = 0;
  /// Returns the values in place if they already are little-endian float32 in the official layout, else empty.
  /// The address may be odd (npz entries are not aligned): read it with memcpy.
  virtual std::span<const std::byte> bytes() const { return {}; }
  /// Returns whether the values can never change while this object lives. Models for inference may read tensors again
  /// for a new image size, so they copy the values of every tensor that does not promise this. A checkpoint file counts
  /// as unchanging; freeze_options::keep_values is for programs whose files may be overwritten in place.
  virtual bool is_snapshot() const { return false; }
  /// Says that the values will not be read again soon, so that mapped pages may leave memory.
  virtual void release() const noexcept {}

  /// Returns whether parts of the values can be read by themselves, so that several threads may share the work.
  virtual bool has_parts() const { return false; }
  /// Writes the values from `first` on to `out` and returns the part's checksum, 0 if the file keeps none. Nothing is
  /// verified until check_parts(). It may be called only if has_parts(). Throws io_error.
  virtual std::uint32_t read_part(std::size_t first, std::span<float> out) const;
  /// Verifies the checksums of all parts in order, each of `part` values but the last. Throws format_error if the file
  /// is damaged.
  virtual void check_parts(std::span<const std::uint32_t> checksums, std::size_t part) const;
};

inline std::uint32_t tensor_data::read_part(std::size_t, std::span<float>) const { return 0; }
inline void tensor_data::check_parts(std::span<const std::uint32_t>, std::size_t) const {}

/// Returns the text "(7, 7, 3, 64)" or "(64,)", for messages.
inline std::string to_string(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

/// A tensor of a checkpoint under its official name, e.g. "resnet/block1/unit01/a/standardized_conv2d/kernel".
struct named_tensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::shared_ptr<const tensor_data> data;

  /// Returns the number of values that the shape holds.
  std::size_t size() const { return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>()); }
};

/// It owns the values of a tensor, which never change; T is float or double.
template <class T>
class owned_values final : public tensor_data {
 public:
  explicit owned_values(std::vector<T> values) : values_(std::move(values)) {}
  void read(std::span<float> out) const override { copy_to(out); }
  void read(std::span<double> out) const override { copy_to(out); }
  std::span<const std::byte> bytes() const override {
    if constexpr (std::is_same_v<T, float>) return std::as_bytes(std::span(values_));
    return {};
  }
  bool is_snapshot() const override { return true; }

 private:
  template <class Out>
  void copy_to(std::span<Out> out) const {
    std::transform(values_.begin(), values_.end(), out.begin(), [](T v) { return static_cast<Out>(v); });
  }
  std::vector<T> values_;
};

/// Returns a tensor that nothing can change any more: `tensor` itself if its data says so, otherwise one with a copy of
/// its values in T, which is float or double. Throws what reading it throws.
template <class T>
named_tensor snapshot_of(const named_tensor& tensor) {
  if (tensor.data->is_snapshot()) return tensor;
  std::vector<T> values(tensor.size());
  tensor.data->read(std::span<T>(values));
  return {tensor.name, tensor.shape, std::make_shared<owned_values<T>>(std::move(values))};
}

}  // namespace bit::inline BIT_ABI
