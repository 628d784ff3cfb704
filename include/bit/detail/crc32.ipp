// SPDX-License-Identifier: Apache-2.0
// Bodies of detail/crc32.hpp. A register holds bits in reverse: bit 31 is the factor of x^0.
#pragma once

#include <array>
#include <bit/detail/crc32.hpp>
#include <cstring>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace bit::inline BIT_ABI::detail {

inline constexpr std::uint32_t crc32_polynomial = 0xEDB88320;

constexpr std::uint32_t crc32_times_x(std::uint32_t crc) { return (crc >> 1) ^ (crc & 1 ? crc32_polynomial : 0); }

/// crc32_tables[i][b]: what byte b does to the register when i more bytes follow.
inline constexpr auto crc32_tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = crc32_times_x(crc);
    tables[0][b] = crc;
  }
  for (std::size_t i = 1; i < 8; ++i)
    for (std::size_t b = 0; b < 256; ++b) tables[i][b] = (tables[i - 1][b] >> 8) ^ tables[0][tables[i - 1][b] & 0xff];
  return tables;
}();

BIT_FUNC std::uint32_t crc32_by_tables(std::uint32_t crc, const std::byte* x, std::size_t count) {
  const auto& t = crc32_tables;
  for (; count >= 8; x += 8, count -= 8) {
    std::uint64_t word;
    std::memcpy(&word, x, sizeof word);
    word ^= crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= t[7 - i][(word >> 8 * i) & 0xff];
  }
  for (; count > 0; ++x, --count) crc = (crc >> 8) ^ t[0][(crc ^ std::to_integer<std::uint32_t>(*x)) & 0xff];
  return crc;
}

#if defined(__x86_64__)

/// x^n modulo the polynomial, as carry-less products of reflected operands want it (their result is one bit low).
constexpr long long crc32_power(int n) {
  std::uint64_t crc = 0x80000000;
  for (int i = 0; i < n; ++i) crc = crc32_times_x(static_cast<std::uint32_t>(crc));
  crc <<= 1;
  return static_cast<long long>(crc);
}

BIT_TARGET_BEGIN("pclmul,sse4.1")
using crc32_lane __attribute__((vector_size(16))) = long long;

__attribute__((always_inline)) inline crc32_lane crc32_load(const std::byte* x) {
  crc32_lane lane;
  __builtin_memcpy(&lane, x, sizeof lane);
  return lane;
}

/// x times x^distance, for the distance that `powers` was made for, plus y.
__attribute__((always_inline)) inline crc32_lane crc32_fold(crc32_lane x, crc32_lane powers, crc32_lane y) {
  return __builtin_ia32_pclmulqdq128(x, powers, 0x00) ^ __builtin_ia32_pclmulqdq128(x, powers, 0x11) ^ y;
}

/// 16 bytes with the same remainder as the register followed by `count` bytes; count is a multiple of 64, not 0.
/// Four chains hide the product's latency; each step moves a chain over the 512 bits of the four.
inline void crc32_fold_all(std::byte* out, std::uint32_t crc, const std::byte* x, std::size_t count) {
  constexpr crc32_lane by_512 = {crc32_power(512 + 32), crc32_power(512 - 32)};
  constexpr crc32_lane by_128 = {crc32_power(128 + 32), crc32_power(128 - 32)};
  crc32_lane a = crc32_load(x), b = crc32_load(x + 16), c = crc32_load(x + 32), d = crc32_load(x + 48);
  a ^= crc32_lane{static_cast<long long>(crc), 0};
  for (const std::byte* end = x + count; (x += 64) != end;) {
    a = crc32_fold(a, by_512, crc32_load(x));
    b = crc32_fold(b, by_512, crc32_load(x + 16));
    c = crc32_fold(c, by_512, crc32_load(x + 32));
    d = crc32_fold(d, by_512, crc32_load(x + 48));
  }
  d = crc32_fold(crc32_fold(crc32_fold(a, by_128, b), by_128, c), by_128, d);
  __builtin_memcpy(out, &d, 16);
}
BIT_TARGET_END

inline std::uint32_t crc32_update(std::uint32_t crc, const std::byte* x, std::size_t count) {
  const std::size_t folded = count / 64 * 64;
  if (folded > 0 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
    std::byte rest[16];
    crc32_fold_all(rest, crc, x, folded);
    crc = crc32_by_tables(0, rest, sizeof rest);
    x += folded;
    count -= folded;
  }
  return crc32_by_tables(crc, x, count);
}

#elif defined(__aarch64__)

inline std::uint32_t crc32_update(std::uint32_t crc, const std::byte* x, std::size_t count) {
  if (::getauxval(AT_HWCAP) & HWCAP_CRC32)
    for (; count >= 8; x += 8, count -= 8) {
      std::uint64_t word;
      std::memcpy(&word, x, sizeof word);
      asm(".arch_extension crc\n\tcrc32x %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    }
  return crc32_by_tables(crc, x, count);
}

#else

inline std::uint32_t crc32_update(std::uint32_t crc, const std::byte* x, std::size_t count) {
  return crc32_by_tables(crc, x, count);
}

#endif

/// Product of two registers modulo the polynomial.
constexpr std::uint32_t crc32_product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (; a != 0; a <<= 1, b = crc32_times_x(b))
    if (a >> 31) product ^= b;
  return product;
}

/// The second part moves the first by 8·count powers of x; what start and end invert cancels out.
BIT_FUNC std::uint32_t crc32_join(std::uint32_t before, std::uint32_t after, std::uint64_t count) {
  std::uint32_t power = std::uint32_t{1} << 23;  // x^8
  for (; count > 0; count >>= 1, power = crc32_product(power, power))
    if (count & 1) before = crc32_product(power, before);
  return before ^ after;
}

BIT_FUNC std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before) {
  return ~crc32_update(~before, bytes.data(), bytes.size());
}

}  // namespace bit::inline BIT_ABI::detail
