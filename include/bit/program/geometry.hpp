// SPDX-License-Identifier: Apache-2.0
// Sizes of convolutions and pools.
#pragma once

#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline BIT_ABI {

/// A square window that slides over rows and columns alike; `padding` zeros on every side.
struct window {
  std::size_t size = 1;
  std::size_t stride = 1;
  std::size_t padding = 0;
  std::size_t dilation = 1;

  /// Rows (or columns) of input that one output touches.
  constexpr std::size_t reach() const { return (size - 1) * dilation + 1; }
  /// Output rows (or columns) for `in` input rows; 0 if the padded input is smaller than the window.
  constexpr std::size_t out(std::size_t in) const {
    const std::size_t padded = in + 2 * padding;
    return padded < reach() ? 0 : (padded - reach()) / stride + 1;
  }
  friend bool operator==(const window&, const window&) = default;
};

/// The pool after the stem: zeros take part in the maximum at the border, unlike a framework's padded max-pool
/// (ConstantPad2d(1, 0) then MaxPool2d(3, 2): bit_pytorch/models.py, "subtly not the same").
inline constexpr window stem_pool{.size = 3, .stride = 2, .padding = 1};

}  // namespace bit::inline BIT_ABI
