// The leaf kernels of one instruction set, as plain functions on pointers. kernels.inl holds their one source.
//
// Activations lie in blocks of 16 channels, [n][c/16][h·w][16] floats, so that a pixel of a block is one cache line
// (64 bytes): stores, residual reads and packing stream, which (n,h,w,c) with its stride of 4c bytes does not.
// Channels beyond the last are zero.
#pragma once

#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline v0::detail {

/// Channels of a block.
inline constexpr std::size_t block = 16;

/// One stretch of the sum over k that a tile makes: `blocks` blocks of 16 k. Row m of block i starts at
/// a + i·a_stride + m·16; the weights are consecutive, [16·blocks][tile_columns].
struct segment {
  const float* a;
  std::size_t a_stride;
  std::size_t blocks;
  const float* b;
};

/// Where a tile of m pixels times `tile_columns` output channels goes.
struct tile_output {
  float* y;               ///< pixel 0 of the first block
  std::size_t y_stride;   ///< floats between blocks
  const float* residual;  ///< added, same strides as y, may be y; or null
  double* statistics;     ///< [block][2][16]: sum and sum of squares, added to; or null
  std::size_t blocks;     ///< blocks that exist (the weights' last panel may reach beyond)
};

/// Functions of one instruction set; all noexcept, none allocates, pointers 64-byte aligned where not said otherwise.
struct kernel_table {
  static constexpr std::size_t max_tile_rows = 14;
  const char* name;
  std::size_t tile_rows;     ///< largest tile, in pixels
  std::size_t tile_columns;  ///< output channels of a tile, a multiple of 16

  /// tile[m - 1]: y[0..m) = residual + sum over segments of a·b, and its statistics.
  void (*tile[max_tile_rows])(const segment* segments, std::size_t count, const tile_output& out);
  /// y[p] = max(0, scale·x[p·stride] + shift) for one block of 16 channels; stride in pixels. NaN stays NaN.
  void (*normalise)(float* y, const float* x, std::size_t pixels, std::size_t stride, const float* scale,
                    const float* shift);
  /// sum[16] += sum over pixels of max(0, scale·x + shift), in double.
  void (*normalised_sum)(double* sum, const float* x, std::size_t pixels, const float* scale, const float* shift);
  /// y[p] = max over the 3x3 window around pixel 2p of three rows; a null row counts as zeros, as do pixels beyond
  /// the `width` of the rows. One block of 16 channels.
  void (*max_pool_row)(float* y, std::size_t pixels, const float* const rows[3], std::size_t width);
  /// Adds the pixels' sums and sums of squares to statistics [2][16].
  void (*accumulate_statistics)(double* statistics, const float* x, std::size_t pixels);

  /// Weight standardisation, for `columns` <= tile_columns output channels of a kernel (rows, cout) whose rows lie
  /// `stride` bytes apart at any address. Adds the sums of x - mean and of its square, per column.
  void (*column_sums)(double* sums, double* squares, const double* mean, const std::byte* x, std::size_t stride,
                      std::size_t rows, std::size_t columns);
  /// y[rows][tile_columns] = (x - mean)·scale, computed in double; columns beyond `columns` become -mean·scale.
  void (*scale_columns)(float* y, const std::byte* x, std::size_t stride, std::size_t rows, std::size_t columns,
                        const double* mean, const double* scale);

  /// The ceilings of peak.hpp. fma_loop: `fma_loop_flops` operations on registers per iteration.
  float (*fma_loop)(std::size_t iterations);
  std::size_t fma_loop_flops;
  /// Reads `count` floats, a multiple of 1024, once; returns their sum.
  float (*read_loop)(const float* x, std::size_t count);
};

}  // namespace bit::inline v0::detail
