// SPDX-License-Identifier: Apache-2.0
// CRC-32, whichever way the CPU computes it, against its definition bit by bit.
#include <doctest/doctest.h>
#include <bit/detail/crc32.hpp>
#include <random>
#include <string_view>
#include <vector>

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// The definition: long division by the polynomial, lowest bit of each byte first.
std::uint32_t by_definition(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::byte b : bytes) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
  }
  return ~crc;
}

std::vector<std::byte> random_bytes(std::size_t count) {
  std::mt19937 random(5);
  std::vector<std::byte> bytes(count);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

}  // namespace

TEST_CASE("CRC-32 of the catalogues' check string, of nothing and of zeros") {
  CHECK(bit::detail::crc32_of(bytes_of("123456789")) == 0xCBF43926);
  CHECK(bit::detail::crc32_of({}) == 0);
  CHECK(bit::detail::crc32_of(std::vector<std::byte>(32)) == 0x190A55AD);
}

TEST_CASE("CRC-32 is right for every length around its blocks, at any address, by instructions and by tables") {
  const auto bytes = random_bytes(1100);
  for (std::size_t length = 0; length <= 1024; length += length < 300 ? 1 : 61)
    for (const std::size_t start : {0U, 1U, 7U, 64U, 67U}) {
      const auto part = std::span(bytes).subspan(start, length);
      const std::uint32_t expected = by_definition(part);
      CHECK(bit::detail::crc32_of(part) == expected);
      CHECK(~bit::detail::crc32_by_tables(0xffffffff, part.data(), part.size()) == expected);
    }
}

TEST_CASE("CRC-32 goes on where it stopped") {
  const auto bytes = random_bytes(1000);
  const std::uint32_t whole = bit::detail::crc32_of(bytes);
  for (const std::size_t cut : {0U, 1U, 63U, 64U, 65U, 500U, 999U, 1000U}) {
    const auto all = std::span(bytes);
    const std::uint32_t before = bit::detail::crc32_of(all.first(cut));
    CHECK(bit::detail::crc32_of(all.subspan(cut), before) == whole);
    CHECK(bit::detail::crc32_join(before, bit::detail::crc32_of(all.subspan(cut)), all.size() - cut) == whole);
  }
}

TEST_CASE("CRC-32 notices every single flipped bit of a block") {
  auto bytes = random_bytes(150);
  const std::uint32_t whole = bit::detail::crc32_of(bytes);
  for (std::size_t i = 0; i < 8 * bytes.size(); ++i) {
    bytes[i / 8] ^= std::byte{1} << (i % 8);
    CHECK(bit::detail::crc32_of(bytes) != whole);
    bytes[i / 8] ^= std::byte{1} << (i % 8);
  }
}
