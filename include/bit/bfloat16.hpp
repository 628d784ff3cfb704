// SPDX-License-Identifier: Apache-2.0
// The 16-bit dtype with the exponent range of float and 8 significant bits.
#pragma once

#include <bit/config.hpp>
#include <bit>
#include <cstdint>

namespace bit::inline BIT_ABI {

/// The upper half of a float. Storage only: arithmetic is done in float.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  explicit constexpr bfloat16(float value) : bits(0) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const bool nan = (word & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<std::uint16_t>(nan ? word >> 16 | 0x40u : (word + 0x7fffu + (word >> 16 & 1u)) >> 16);
  }
  /// Exact.
  explicit constexpr operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

}  // namespace bit::inline BIT_ABI
