// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <array>
#include <bit/io/convert.hpp>
#include <bit>
#include <cmath>

#include "fixture.hpp"

namespace {

/// Bytes in memory as a raw tensor's data; `in_place` false hides that they have a place.
class bytes_data final : public bit::io::raw_data {
 public:
  bytes_data(std::string bytes, bool in_place) : bytes_(std::move(bytes)), in_place_(in_place) {}
  void read(std::span<std::byte> out) const override { std::memcpy(out.data(), bytes_.data(), out.size()); }
  std::span<const std::byte> bytes() const override {
    return in_place_ ? std::as_bytes(std::span(bytes_)) : std::span<const std::byte>{};
  }

 private:
  std::string bytes_;
  bool in_place_;
};

template <class Bits>
std::string to_bytes(const std::vector<Bits>& values, bool big_endian) {
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Bits));
  if (big_endian)
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(Bits))
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                   bytes.begin() + static_cast<std::ptrdiff_t>(i + sizeof(Bits)));
  return bytes;
}

template <class T, class Bits>
std::vector<T> convert(bit::io::dtype type, const std::vector<Bits>& bits, const std::vector<std::size_t>& shape,
                       const std::vector<int>& order, bool big_endian = false, bool fortran = false,
                       bool in_place = true) {
  const auto tensor = bit::detail::as_parameter(
      {"x", type, shape, std::make_shared<bytes_data>(to_bytes(bits, big_endian), in_place), fortran, big_endian},
      order);
  std::vector<T> out(bits.size());
  tensor->read(std::span<T>(out));
  return out;
}

}  // namespace

TEST_CASE("every half-precision number is converted exactly, in both byte orders") {
  std::vector<std::uint16_t> bits(65536);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  for (const bool big_endian : {false, true}) {
    const auto values = convert<float>(bit::io::dtype::float16, bits, {65536}, {0}, big_endian);
    std::size_t wrong = 0;
    for (std::uint32_t i = 0; i < 65536; ++i) {
      const int exponent = static_cast<int>(i >> 10 & 31);
      const double fraction = i & 1023;
      const double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                               : exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
                                                : std::ldexp(1024 + fraction, exponent - 25);
      const double expected = i & 0x8000 ? -magnitude : magnitude, got = values[i];
      wrong += std::isnan(expected) ? !std::isnan(got) : got != expected || std::signbit(got) != std::signbit(expected);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("bfloat16, float32 and float64 are converted exactly, in both byte orders") {
  for (const bool big_endian : {false, true}) {
    CHECK(convert<float>(bit::io::dtype::bfloat16, std::vector<std::uint16_t>{0x3f80, 0xc049, 0x0001}, {3}, {0},
                         big_endian) == std::vector<float>{1.0f, -3.140625f, std::bit_cast<float>(0x00010000u)});
    const std::vector<double> doubles{1.0 / 3, -1e300, 5e-324};
    CHECK(convert<double>(bit::io::dtype::float64, doubles, {3}, {0}, big_endian) == doubles);
    CHECK(convert<float>(bit::io::dtype::float64, std::vector<double>{1.0 / 3}, {1}, {0}, big_endian).at(0) ==
          1.0f / 3);
    const std::vector<float> floats{1.1f, -0.0f, 3e38f};
    CHECK(convert<float>(bit::io::dtype::float32, floats, {3}, {0}, big_endian) == floats);
    CHECK(convert<double>(bit::io::dtype::float32, floats, {3}, {0}, big_endian) ==
          std::vector<double>(floats.begin(), floats.end()));
  }
}

TEST_CASE("Fortran order and torch's layout become HWIO, on sizes around the blocks of the transposition") {
  for (const auto& [h, w, i, o] :
       {std::array<std::size_t, 4>{1, 1, 31, 33}, {3, 3, 1, 65}, {2, 5, 32, 7}, {1, 1, 1, 1}}) {
    // Value at (h,w,i,o) tells its place.
    const auto value = [&, w = w, i = i, o = o](std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
      return static_cast<float>(((a * w + b) * i + c) * o + d);
    };
    std::vector<float> official, torch(h * w * i * o), fortran(h * w * i * o);
    for (std::size_t a = 0; a < h; ++a)
      for (std::size_t b = 0; b < w; ++b)
        for (std::size_t c = 0; c < i; ++c)
          for (std::size_t d = 0; d < o; ++d) {
            official.push_back(value(a, b, c, d));
            torch[((d * i + c) * h + a) * w + b] = value(a, b, c, d);
            fortran[((d * i + c) * w + b) * h + a] = value(a, b, c, d);
          }
    using enum bit::io::dtype;
    for (const bool in_place : {true, false}) {
      CHECK(convert<float>(float32, torch, {o, i, h, w}, {2, 3, 1, 0}, false, false, in_place) == official);
      CHECK(convert<float>(float32, fortran, {h, w, i, o}, {0, 1, 2, 3}, false, true, in_place) == official);
      CHECK(convert<float>(float32, official, {h, w, i, o}, {0, 1, 2, 3}, true, false, in_place) == official);
    }
  }
}

TEST_CASE("only little-endian float32 in the official layout is offered in place") {
  const auto offers = [](bit::io::dtype type, const std::vector<std::size_t>& shape, const std::vector<int>& order,
                         bool big, bool fortran) {
    return !bit::detail::as_parameter(
                {"x", type, shape, std::make_shared<bytes_data>(std::string(64, 'x'), true), fortran, big}, order)
                ->bytes()
                .empty();
  };
  using enum bit::io::dtype;
  CHECK(offers(float32, {16}, {0}, false, false));
  CHECK(offers(float32, {16}, {0}, false, true));                     // one axis has one order
  CHECK(offers(float32, {16, 1, 1, 1}, {2, 3, 1, 0}, false, false));  // so has a tensor with one long axis
  CHECK(offers(float32, {1, 1, 4, 4}, {0, 1, 2, 3}, false, false));
  CHECK_FALSE(offers(float32, {1, 1, 4, 4}, {0, 1, 2, 3}, false, true));
  CHECK_FALSE(offers(float32, {4, 4, 1, 1}, {2, 3, 1, 0}, false, false));
  CHECK_FALSE(offers(float32, {16}, {0}, true, false));
  CHECK_FALSE(offers(float16, {32}, {0}, false, false));
}
