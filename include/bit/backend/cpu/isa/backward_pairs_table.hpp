// SPDX-License-Identifier: Apache-2.0
// The microkernels of backward weights for an instruction that multiplies pairs of bfloat16 and sums them
// (isa/backward_pairs.inl). Backward weights sums over pixels and images, so a pair must consist of two terms of that
// sum. It is the same pixel of two images: all taps of a 3x3 kernel then read the same pairs, and a pixel of a block is
// 16 pairs, one cache line.
#pragma once

#include <bit/bfloat16.hpp>
#include <cstddef>

namespace bit::inline BIT_ABI::detail {

/// How many numbers a pixel of a block of 16 channels has in pairs.
inline constexpr std::size_t pair_block = 32;

/// The operands of one sum of outer products: sum[m][column] (+)= the sum over pairs of images, rows and columns of
/// a[m]·b, in float. `a` gives outer_rows neighbouring pairs at every pixel, `b` one or two blocks of 16 channels.
struct pair_product {
  const bfloat16* a;
  std::size_t a_row, a_image;  ///< numbers from one row, one image to the next; pixels are pair_block apart in a and b
  const bfloat16* b;
  std::size_t b_block, b_row, b_image;
  std::size_t columns, rows, images;  ///< `images` counts pairs
  float* sum;                         ///< rows of tile_columns floats
  bool add;                           ///< whether to add to `sum` or to overwrite it
};

/// The microkernels for one instruction set.
struct backward_pair_microkernel_table {
  std::size_t outer_rows;  ///< a divisor of 16

  void (*outer)(const pair_product& product);
  /// y[p] = the pairs (x0[p], x1[p]) for pixels of one block of 16 channels; a null x1 stands for zeros.
  void (*interleave)(bfloat16* y, const bfloat16* x0, const bfloat16* x1, std::size_t pixels);
};

}  // namespace bit::inline BIT_ABI::detail
