// SPDX-License-Identifier: Apache-2.0
// Tests of floating-point numbers by their bits. With -ffast-math compilers take it that there are no NaNs and no
// infinities: std::isnan becomes false, std::isfinite true, and !(x >= 0) becomes x < 0. These stay what they say.
#pragma once

#include <bit/config.hpp>
#include <bit>
#include <cstdint>

namespace bit::inline BIT_ABI::detail {

/// Returns whether `value` is neither NaN nor infinite.
constexpr bool is_finite(float value) { return (std::bit_cast<std::uint32_t>(value) & 0x7f800000u) != 0x7f800000u; }

/// Returns whether `value` is neither NaN nor infinite.
constexpr bool is_finite(double value) {
  return (std::bit_cast<std::uint64_t>(value) & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

/// Returns whether `value` is NaN.
constexpr bool is_nan(double value) {
  return (std::bit_cast<std::uint64_t>(value) & 0x7fffffffffffffffu) > 0x7ff0000000000000u;
}

/// Returns whether `value` is a number from `low` to `high`, both finite; false for NaN.
constexpr bool is_within(double value, double low, double high) {
  return is_finite(value) && value >= low && value <= high;
}

/// Returns whether `value` is a finite number that is not negative.
constexpr bool is_non_negative(double value) { return is_finite(value) && value >= 0; }

}  // namespace bit::inline BIT_ABI::detail
