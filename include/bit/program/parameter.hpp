// Where parameters' values come from: memory, a mapped checkpoint, a deflated entry, another layout or dtype.
// Reading is lazy, so that loading a checkpoint copies nothing and freezing streams one tensor at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bit::inline v0 {

/// Read-only values of one tensor in the official layout (convolution kernels HWIO, the head (1,1,c,classes)), row-major.
/// Every member may be called by several threads at once.
class tensor_data {
 public:
  virtual ~tensor_data() = default;
  /// Writes all values to `out`, whose size is the tensor's. Throws format_error or io_error if the file is damaged.
  virtual void read(std::span<float> out) const = 0;
  /// The same in double precision; exact for files that hold float64.
  virtual void read(std::span<double> out) const = 0;
  /// The values in place if they already are little-endian float32 in the official layout, else empty.
  /// The address may be odd (npz entries are not aligned): read it with memcpy.
  virtual std::span<const std::byte> bytes() const { return {}; }
  /// Says that the values will not be read again soon, so that mapped pages may leave memory.
  virtual void release() const noexcept {}

  /// Whether parts of the values can be read by themselves, so that several threads may share the work.
  virtual bool has_parts() const { return false; }
  /// Writes the values from `first` on to `out` and returns the part's checksum, 0 if the file keeps none. Nothing is
  /// verified until check_parts(). Throws io_error. Only if has_parts().
  virtual std::uint32_t read_part(std::size_t first, std::span<float> out) const;
  /// Verifies the checksums of all parts in order, each of `part` values but the last. Throws format_error if the file
  /// is damaged.
  virtual void check_parts(std::span<const std::uint32_t> checksums, std::size_t part) const;
};

inline std::uint32_t tensor_data::read_part(std::size_t, std::span<float>) const { return 0; }
inline void tensor_data::check_parts(std::span<const std::uint32_t>, std::size_t) const {}

/// A tensor of a checkpoint under its official name, e.g. "resnet/block1/unit01/a/standardized_conv2d/kernel".
struct named_tensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::shared_ptr<const tensor_data> data;
};

}  // namespace bit::inline v0
