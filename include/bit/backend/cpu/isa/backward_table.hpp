// The leaf kernels of the backward pass for one instruction set; isa/backward.inl is their one source. All compute in
// float; maps in blocks of 16 channels as table.hpp describes them.
#pragma once

#include <bit/bfloat16.hpp>
#include <cstddef>

namespace bit::inline v0::detail {

/// sum[m][column] (+)= sum over images, rows and columns of a[m]·b: m neighbouring floats of `a` at every pixel, and
/// one or two blocks of 16 channels of `b`.
struct outer_product {
  const float* a;
  std::size_t a_pixel, a_row, a_image;  ///< floats from one to the next
  const float* b;
  std::size_t b_block, b_row, b_image;  ///< pixels of b are 16 floats apart
  std::size_t columns, rows, images;
  float* sum;         ///< rows of tile_columns floats
  std::size_t count;  ///< rows of sum that are wanted, at most outer_rows; all outer_rows of a are read
  bool add;           ///< to what sum holds
};

/// What goes back through the norm and ReLU of one block of 16 channels: pre-activation scale·x + shift, normalised
/// rstd·x + offset.
struct norm_block {
  const float *scale, *shift, *rstd, *offset;
};

struct backward_microkernel_table {
  std::size_t tile_columns;
  std::size_t outer_rows;

  void (*outer)(const outer_product& product);

  /// Of `columns` <= tile_columns columns: sums += g and products += g·ŵ, ŵ = (w - mean)·scale; g in rows of
  /// tile_columns, w in rows of `stride` floats; the doubles lie anywhere.
  void (*standardise_sums)(double* sums, double* products, const float* g, const float* w, std::size_t stride,
                           std::size_t rows, std::size_t columns, const double* mean, const double* scale);
  /// dw += factor·(g - a - ŵ·b), per column; dw in rows like w.
  void (*standardise_apply)(float* dw, const float* g, const float* w, std::size_t stride, std::size_t rows,
                            std::size_t columns, const double* mean, const double* scale, const double* factor,
                            const double* a, const double* b);
};

/// Those that go over maps of numbers of type T.
template <class T>
struct backward_map_microkernel_table {
  /// sums [2][16] += sums over pixels of m and of m·x̂, where m = dy if the pre-activation is positive and 0 if not.
  void (*norm_sums)(double* sums, const T* dy, const T* x, std::size_t pixels, const norm_block& norm);
  /// dx = scale·m + a·x + b (+ passed, unless it is null), per channel; dx may be dy or passed.
  void (*norm_apply)(T* dx, const T* dy, const T* x, const T* passed, std::size_t pixels, const norm_block& norm,
                     const float* a, const float* b);

  /// dx [height][width][16] += dy [rows][columns][16] at each window's first largest pixel of x, for the 3x3 windows of
  /// stem_pool; where a zero of the padding comes first, nothing. x and dx are in float whatever T is.
  void (*max_pool)(float* dx, const float* x, const T* dy, std::size_t height, std::size_t width, std::size_t rows,
                   std::size_t columns);
};

}  // namespace bit::inline v0::detail
