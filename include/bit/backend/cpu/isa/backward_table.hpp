// SPDX-License-Identifier: Apache-2.0
// The microkernels of the backward pass for one instruction set; isa/backward.inl is their one source. All compute in
// float; feature maps are in blocks of 16 channels as table.hpp describes them.
#pragma once

#include <bit/bfloat16.hpp>
#include <cstddef>

namespace bit::inline BIT_ABI::detail {

/// The operands of one sum of outer products: sum[m][column] (+)= the sum over images, rows and columns of a[m]·b. `a`
/// gives some neighbouring floats (channels) at every pixel, `b` one or two blocks of 16 channels.
struct outer_product {
  const float* a;
  std::size_t a_pixel, a_row, a_image;  ///< floats from one pixel, row, image of `a` to the next
  const float* b;
  std::size_t b_block, b_row, b_image;  ///< the same for `b`, whose pixels are 16 floats apart
  std::size_t columns, rows, images;    ///< how many pixels are summed
  float* sum;                           ///< rows of tile_columns floats
  std::size_t count;  ///< rows of `sum` that are written, at most outer_rows; outer_rows floats of `a` are read
  bool add;           ///< whether to add to `sum` or to overwrite it
};

/// The coefficients that the backward pass needs of norm and ReLU, for one block of 16 channels: the pre-activation is
/// scale·x + shift, the normalised value rstd·x + offset.
struct norm_block {
  const float *scale, *shift, *rstd, *offset;
};

/// The microkernels that do not depend on the type of the feature maps.
struct backward_microkernel_table {
  std::size_t tile_columns;  ///< output channels of a panel, as in microkernel_table<float>
  std::size_t outer_rows;    ///< rows of `sum` that one call of `outer` computes, a divisor of 16

  /// Computes one sum of outer products.
  void (*outer)(const outer_product& product);

  /// The sums that the gradient of weight standardisation needs, for `columns` <= tile_columns output channels: per
  /// column, sums += g and products += g·ŵ over all rows, where ŵ = (w - mean)·scale. Rows of g are tile_columns floats
  /// long, rows of w `stride` floats apart; the doubles need no alignment.
  void (*standardise_sums)(double* sums, double* products, const float* g, const float* w, std::size_t stride,
                           std::size_t rows, std::size_t columns, const double* mean, const double* scale);
  /// dw += factor·(g - a - ŵ·b), per column; the rows of dw are `stride` floats apart, too.
  void (*standardise_apply)(float* dw, const float* g, const float* w, std::size_t stride, std::size_t rows,
                            std::size_t columns, const double* mean, const double* scale, const double* factor,
                            const double* a, const double* b);
};

/// The microkernels that go over feature maps, whose numbers are of type T.
template <class T>
struct backward_map_microkernel_table {
  /// sums [2][16] += the sums over pixels of m and of m·x̂, where m = dy where the pre-activation is positive, else 0.
  void (*norm_sums)(double* sums, const T* dy, const T* x, std::size_t pixels, const norm_block& norm);
  /// dx = scale·m + a·x + b (+ passed, unless it is null), per channel. dx may be the same memory as dy or passed.
  void (*norm_apply)(T* dx, const T* dy, const T* x, const T* passed, std::size_t pixels, const norm_block& norm,
                     const float* a, const float* b);

  /// The gradient of stem_pool: dx [height][width][16] += dy [rows][columns][16] at the pixel of x that is the first
  /// largest of its 3x3 window; nothing is added where that is a zero of the padding. x and dx are in float whatever T
  /// is.
  void (*max_pool)(float* dx, const float* x, const T* dy, std::size_t height, std::size_t width, std::size_t rows,
                   std::size_t columns);
};

}  // namespace bit::inline BIT_ABI::detail
