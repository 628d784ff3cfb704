// The leaf kernels of a kernel's gradient for an instruction that multiplies pairs of bfloat16 and sums them, as
// isa/backward_pairs.inl makes them. Pairs are made of what a contraction sums: the same pixel of two images. Then all taps
// of a 3x3 kernel read the same pairs, and a pixel of a block is 16 pairs, a cache line.
#pragma once

#include <bit/bfloat16.hpp>
#include <cstddef>

namespace bit::inline v0::detail {

/// Numbers of a pixel of a block of 16 channels in pairs.
inline constexpr std::size_t pair_block = 32;

/// sum[m][column] (+)= sum over pairs of images, rows and columns of a[m]·b, summed in float: outer_rows neighbouring
/// pairs of `a` at every pixel, and one or two blocks of 16 channels of `b`.
struct pair_product {
  const bfloat16* a;
  std::size_t a_row, a_image;  ///< numbers from one to the next; pixels are pair_block apart in a and b
  const bfloat16* b;
  std::size_t b_block, b_row, b_image;
  std::size_t columns, rows, images;  ///< images in pairs
  float* sum;                         ///< rows of tile_columns floats
  bool add;                           ///< to what sum holds
};

struct backward_pair_microkernel_table {
  std::size_t outer_rows;  ///< a divisor of 16

  void (*outer)(const pair_product& product);
  /// y[p] = pairs of x0[p] and x1[p], pixels of one block of 16 channels; without x1 of x0[p] and zero.
  void (*interleave)(bfloat16* y, const bfloat16* x0, const bfloat16* x1, std::size_t pixels);
};

}  // namespace bit::inline v0::detail
