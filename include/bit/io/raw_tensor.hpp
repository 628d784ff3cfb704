// SPDX-License-Identifier: Apache-2.0
// A tensor as a file stores it, before its name, layout and dtype are made official.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <bit/dtype.hpp>
#include <bit/program/parameter.hpp>

namespace bit::inline BIT_ABI::io {

using bit::dtype;
using bit::size_of;
using bit::to_string;

/// The bytes of one stored tensor. Every member may be called by several threads at once.
class raw_data {
 public:
  virtual ~raw_data() = default;
  /// Writes all bytes to `out`, whose size is the tensor's, and verifies the file's checksum where there is one.
  /// Throws format_error if the data is damaged, io_error if the system cannot read it.
  virtual void read(std::span<std::byte> out) const = 0;
  /// The bytes in place (a mapped file, an array in memory), verified as by read(), or empty if there is no such place.
  virtual std::span<const std::byte> bytes() const { return {}; }
  /// Returns whether the bytes can never change while this object lives, see tensor_data::is_snapshot().
  virtual bool is_snapshot() const { return false; }
  /// Says that the bytes will not be read again soon, so that mapped pages may leave memory.
  virtual void release() const noexcept {}
  /// As the members of tensor_data with these names, in bytes.
  virtual bool has_parts() const { return false; }
  virtual std::uint32_t read_part(std::size_t first, std::span<std::byte> out) const;
  virtual void check_parts(std::span<const std::uint32_t> checksums, std::size_t part) const;
};

inline std::uint32_t raw_data::read_part(std::size_t, std::span<std::byte>) const { return 0; }
inline void raw_data::check_parts(std::span<const std::uint32_t>, std::size_t) const {}

/// One tensor as stored.
struct raw_tensor {
  std::string name;
  dtype type = dtype::float32;
  std::vector<std::size_t> shape;
  std::shared_ptr<const raw_data> data;
  bool fortran_order = false;  ///< first axis fastest, as npy files may say
  bool big_endian = false;
};

/// Product of the sizes times the element's bytes; empty if it overflows 64 bits.
inline std::optional<std::uint64_t> byte_count(const std::vector<std::size_t>& shape, dtype type) {
  std::uint64_t bytes = size_of(type);
  for (std::size_t size : shape)
    if (__builtin_mul_overflow(bytes, std::uint64_t{size}, &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace bit::inline BIT_ABI::io
