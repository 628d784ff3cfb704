// SPDX-License-Identifier: Apache-2.0
// Bodies of io/convert.hpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include <bit/error.hpp>
#include <bit/io/convert.hpp>

namespace bit::inline BIT_ABI::detail {

static_assert(std::endian::native == std::endian::little, "the loaders and bytes() assume a little-endian machine");

/// Exact value of an IEEE half: its subnormals are normal in single precision.
inline float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = std::uint32_t{h & 0x8000u} << 16, exponent = (h >> 10) & 31u, fraction = h & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

template <class Bits>
Bits load_bits(const std::byte* p) {
  Bits bits;
  std::memcpy(&bits, p, sizeof bits);
  return bits;
}

// Readers of one element.
struct half_reader {
  static constexpr std::size_t size = 2;
  static float load(const std::byte* p) { return half_to_float(load_bits<std::uint16_t>(p)); }
};
struct bfloat16_reader {
  static constexpr std::size_t size = 2;
  static float load(const std::byte* p) {
    return std::bit_cast<float>(std::uint32_t{load_bits<std::uint16_t>(p)} << 16);
  }
};
struct float_reader {
  static constexpr std::size_t size = 4;
  static float load(const std::byte* p) { return load_bits<float>(p); }
};
struct double_reader {
  static constexpr std::size_t size = 8;
  static double load(const std::byte* p) { return load_bits<double>(p); }
};

/// out[row][j][k][l] = source at the walk's strides. Blocks of 32 keep both sides of a transposition in the L1 cache.
template <class Reader, class T>
void gather_elements(const axis_walk& walk, const std::byte* source, std::size_t first, std::size_t count, T* out) {
  constexpr std::size_t side = 32;
  const auto& [n, s1, s2, s3] = walk.shape;
  (void)n;
  for (std::size_t i = first; i < first + count; ++i)
    for (std::size_t j = 0; j < s1; ++j)
      for (std::size_t k0 = 0; k0 < s2; k0 += side)
        for (std::size_t l0 = 0; l0 < s3; l0 += side)
          for (std::size_t k = k0; k < std::min(k0 + side, s2); ++k) {
            const std::size_t at = i * walk.stride[0] + j * walk.stride[1] + k * walk.stride[2];
            T* row = out + (((i - first) * s1 + j) * s2 + k) * s3;
            for (std::size_t l = l0; l < std::min(l0 + side, s3); ++l)
              row[l] = static_cast<T>(Reader::load(source + (at + l * walk.stride[3]) * Reader::size));
          }
}

template <class T>
void gather_as(io::dtype type, const axis_walk& walk, const std::byte* source, T* out) {
  const std::size_t all = walk.shape[0];
  if (type == io::dtype::float16) return gather_elements<half_reader>(walk, source, 0, all, out);
  if (type == io::dtype::bfloat16) return gather_elements<bfloat16_reader>(walk, source, 0, all, out);
  if (type == io::dtype::float32) return gather_elements<float_reader>(walk, source, 0, all, out);
  gather_elements<double_reader>(walk, source, 0, all, out);
}

BIT_FUNC void gather(const axis_walk& walk, const float* source, std::size_t first, std::size_t count, float* out) {
  gather_elements<float_reader>(walk, reinterpret_cast<const std::byte*>(source), first, count, out);
}

BIT_FUNC axis_walk walk_of(const std::vector<std::size_t>& from, const std::vector<int>& order, bool fortran) {
  std::vector<std::size_t> stride(from.size());
  std::size_t step = 1;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::size_t axis = fortran ? i : from.size() - 1 - i;
    stride[axis] = step;
    step *= from[axis];
  }
  axis_walk walk;
  const std::size_t lead = 4 - order.size();
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] < 0) continue;
    const auto axis = static_cast<std::size_t>(order[i]);
    walk.shape[lead + i] = from[axis];
    walk.stride[lead + i] = stride[axis];
  }
  return walk;
}

/// Does the walk visit the source from front to back?
inline bool is_contiguous(const axis_walk& walk) {
  std::size_t step = 1;
  for (std::size_t axis = 4; axis-- > 0;) {
    if (walk.shape[axis] > 1 && walk.stride[axis] != step) return false;
    step *= walk.shape[axis];
  }
  return true;
}

/// Turns the byte order of elements of `size` bytes.
inline void reverse_elements(std::span<std::byte> bytes, std::size_t size) {
  for (; !bytes.empty(); bytes = bytes.subspan(size)) {
    const auto element = bytes.first(size);
    std::reverse(element.begin(), element.end());
  }
}

class stored_parameter final : public tensor_data {
 public:
  stored_parameter(io::raw_tensor tensor, const std::vector<int>& order)
      : tensor_(std::move(tensor)),
        walk_(walk_of(tensor_.shape, order, tensor_.fortran_order)),
        same_(tensor_.type == io::dtype::float32 && !tensor_.big_endian && is_contiguous(walk_)) {}

  void read(std::span<float> out) const override {
    if (same_) return tensor_.data->read(std::as_writable_bytes(out));
    convert(out.data());
  }
  void read(std::span<double> out) const override { convert(out.data()); }
  std::span<const std::byte> bytes() const override {
    return same_ ? tensor_.data->bytes() : std::span<const std::byte>{};
  }
  bool is_snapshot() const override { return tensor_.data->is_snapshot(); }
  void release() const noexcept override { tensor_.data->release(); }
  bool has_parts() const override { return same_ && tensor_.data->has_parts(); }
  std::uint32_t read_part(std::size_t first, std::span<float> out) const override {
    return tensor_.data->read_part(first * sizeof(float), std::as_writable_bytes(out));
  }
  void check_parts(std::span<const std::uint32_t> checksums, std::size_t part) const override {
    tensor_.data->check_parts(checksums, part * sizeof(float));
  }

 private:
  template <class T>
  void convert(T* out) const {
    std::span<const std::byte> source = tensor_.data->bytes();
    std::vector<std::byte> copy;
    if (source.empty() || tensor_.big_endian) {
      copy.resize(static_cast<std::size_t>(*io::byte_count(tensor_.shape, tensor_.type)));
      tensor_.data->read(copy);
      if (tensor_.big_endian) reverse_elements(copy, io::size_of(tensor_.type));
      source = copy;
    }
    gather_as(tensor_.type, walk_, source.data(), out);
  }

  io::raw_tensor tensor_;
  axis_walk walk_;
  bool same_;
};

BIT_FUNC std::shared_ptr<const tensor_data> as_parameter(io::raw_tensor tensor, const std::vector<int>& order) {
  return std::make_shared<stored_parameter>(std::move(tensor), order);
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::io {

BIT_FUNC std::shared_ptr<const tensor_data> in_memory(std::vector<float> values) {
  return std::make_shared<owned_values<float>>(std::move(values));
}

}  // namespace bit::inline BIT_ABI::io
