// The leaf kernels of one instruction set, as plain functions on pointers. isa/*.inl hold their one source.
//
// Activations lie in blocks of 16 channels, [n][c/16][h·w][16], so that a pixel of a block is one cache line of floats
// (64 bytes) or half of one: stores, residual reads and packing stream, which (n,h,w,c) with its stride of 4c bytes
// does not. Channels beyond the last are zero.
#pragma once

#include <bit/bfloat16.hpp>
#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline v0::detail {

/// Channels of a block.
inline constexpr std::size_t block = 16;

/// Cache lines that a tile asks for on its way, so that what comes next is in L2 when it is needed: without it a batch of
/// 1 waits for its 94 MB of weights to come from memory, 8 % of R50x1's time. In each block of 16 k it asks so many times
/// as weight_prefetches or pixel_prefetches says, `step` bytes further every time (less than a line: again for the same one), and goes
/// on by `jump` bytes after the block.
struct prefetch_stream {
  const std::byte* from = nullptr;  ///< null: ask for nothing
  std::size_t step = 0, jump = 0;
};
inline constexpr std::size_t pixel_prefetches = 8;
/// As many as a block of k of the next panel has lines (of floats) where a tile of few rows may be the only one that a
/// panel meets, half of that where there are two or more. With a quarter, R50x1 at 128² takes 9.7 instead of 9.1 ms.
constexpr std::size_t weight_prefetches(std::size_t rows, std::size_t tile_rows, std::size_t tile_columns) {
  return rows > tile_rows / 3 + 1 ? tile_columns / 2 : tile_columns;
}

/// One stretch of the sum over k that a tile makes: `blocks` blocks of 16 k. Packed pixels are numbers of
/// microkernel_table::packed_bytes: row m of block i starts at number i·a_stride + m·16 of `a`. The weights are consecutive,
/// [16·blocks][tile_columns] for float. For bfloat16 the k come in pairs, [8·blocks][tile_columns][2], as the
/// instruction vdpbf16ps wants them.
template <class T>
struct segment {
  const std::byte* a;
  std::size_t a_stride;
  std::size_t blocks;
  const T* b;
  prefetch_stream weights_ahead = {};  ///< without jumps
  prefetch_stream pixels_ahead = {};
};

/// Blocks of 16 k that a tile sums in one go before it adds them to a total. A float sum of n random terms loses about
/// sqrt(n / 2) roundings: sums of 128 keep deep sums (k up to 18,432 in R152x4) as good as shallow ones. Over twelve
/// random checkpoints of R50x1 and R101x1 the logits' error fell from 1.1 to 0.8 times that of PyTorch's float32; the
/// rate stayed (253 GFLOP/s, Zen 5).
inline constexpr std::size_t default_blocks_per_sum = 8;

/// Where a tile of m pixels times `tile_columns` output channels goes.
template <class T>
struct tile_output {
  T* y;                  ///< pixel 0 of the first block
  std::size_t y_stride;  ///< elements between blocks
  const T* residual;     ///< added, same strides as y, may be y; or null
  double* statistics;    ///< [block][2][16]: sum and sum of squares, added to; or null
  std::size_t blocks;    ///< blocks that exist (the weights' last panel may reach beyond)
  std::size_t blocks_per_sum = default_blocks_per_sum;
};

/// What the stem's tile reads: an image row after row, channels last, with zeros around it.
struct stem_window {
  const float* image;      ///< first value under the window of output pixel 0
  std::size_t pixel;       ///< floats from one output pixel's window to the next one's
  std::size_t row;         ///< floats from one row of the window to the next
  std::size_t rows;        ///< rows of the window
  std::size_t row_values;  ///< values of one row of the window, side by side
  const float* weights;    ///< [rows·stretch][tile_columns]
};

/// Neighbouring Winograd tiles of m x m pixels in one row of tiles, for one block of 16 channels; t = m + 2.
template <class T>
struct winograd_input {
  const T* x;                 ///< the block's plane, [height][width][16]
  std::size_t height, width;  ///< of x and of the output: padding is 1
  std::size_t row, column;    ///< of the first tile's first output pixel
  std::size_t tiles;
  const float *scale, *shift;  ///< of the block
  float floor;                 ///< least value after them: 0 is ReLU, -infinity takes everything
  float* strip;                ///< scratch, [t][tiles·m + 2][16]
  std::byte* v;                ///< [t·t] products, each [tiles][16] packed numbers
  std::size_t v_stride;        ///< packed numbers between products
};

/// The same tiles on the way back.
template <class T>
struct winograd_output {
  const float* m;        ///< [t·t] products, each [tiles][16]
  std::size_t m_stride;  ///< floats between products
  T* y;                  ///< the block's plane, [height][width][16]
  std::size_t height, width, row, column, tiles;
  double* statistics;  ///< [2][16]: sum and sum of squares, added to; or null
};

/// Transforms of one tile size; winograd.inl says what they compute.
template <class T>
struct winograd_transforms {
  void (*input)(const winograd_input<T>& in);
  void (*output)(const winograd_output<T>& out);
  /// taps [9][rows][tile_columns] -> u, t·t products u_stride elements apart, each in the order of segment::b.
  void (*kernel)(T* u, std::size_t u_stride, const float* taps, std::size_t rows);
};

/// Functions of one instruction set for activations and products of type T; all noexcept, none allocates, pointers
/// 64-byte aligned where not said otherwise.
template <class T>
struct microkernel_table {
  static constexpr std::size_t max_tile_rows = 14;
  std::size_t tile_rows;     ///< largest tile, in pixels
  std::size_t tile_columns;  ///< output channels of a tile, a multiple of 16
  /// Of the numbers that pixels are packed as: those of T, or of float where bfloat16 is multiplied as float.
  std::size_t packed_bytes;

  /// tile[m - 1]: y[0..m) = residual + sum over segments of a·b, summed in float, and its statistics.
  void (*tile[max_tile_rows])(const segment<T>* segments, std::size_t count, const tile_output<T>& out);
  /// The same with y in float, without residual and statistics.
  void (*product[max_tile_rows])(const segment<T>* segments, std::size_t count, const tile_output<float>& out);
  /// stem_tile[m - 1]: y[0..m) of the first convolution, in float whatever T is; y_stride floats between blocks.
  void (*stem_tile[max_tile_rows])(float* y, std::size_t y_stride, std::size_t blocks, const stem_window& window);

  /// y[p] = max(0, scale·x[p·stride] + shift) for one block of 16 channels; stride in pixels. NaN stays NaN.
  void (*normalise)(T* y, const T* x, std::size_t pixels, std::size_t stride, const float* scale, const float* shift);
  /// The same in float whatever T is.
  void (*normalise_to_float)(float* y, const T* x, std::size_t pixels, std::size_t stride, const float* scale,
                             const float* shift);
  /// y[p] = x[p·stride] in float, one block of 16 channels.
  void (*widen)(float* y, const T* x, std::size_t pixels, std::size_t stride);
  /// sum[16] += sum over pixels of max(0, scale·x + shift), in double.
  void (*normalised_sum)(double* sum, const T* x, std::size_t pixels, const float* scale, const float* shift);
  /// y[p] = max over the 3x3 window around pixel 2p of three rows; a null row counts as zeros, as do pixels beyond
  /// the `width` of the rows. One block of 16 channels.
  void (*max_pool_row)(T* y, std::size_t pixels, const float* const rows[3], std::size_t width);
  /// Adds the pixels' sums and sums of squares to statistics [2][16].
  void (*accumulate_statistics)(double* statistics, const T* x, std::size_t pixels);
  /// y = x rounded to T, whole pixels of 16 channels.
  void (*narrow)(T* y, const float* x, std::size_t pixels);

  /// Weight standardisation, for `columns` <= tile_columns output channels of a kernel (rows, cout) whose rows lie
  /// `stride` bytes apart at any address, as may the doubles. Adds the sums of x - mean and of its square, per column.
  void (*column_sums)(double* sums, double* squares, const double* mean, const std::byte* x, std::size_t stride,
                      std::size_t rows, std::size_t columns);
  /// y = (x - mean)·scale, computed in double, in the order of segment::b; columns beyond `columns` become
  /// -mean·scale, a missing last row of a pair 0.
  void (*scale_columns)(T* y, const std::byte* x, std::size_t stride, std::size_t rows, std::size_t columns,
                        const double* mean, const double* scale);
  /// The same in float whatever T is, [rows][tile_columns]: the stem's kernel.
  void (*scale_columns_float)(float* y, const std::byte* x, std::size_t stride, std::size_t rows, std::size_t columns,
                              const double* mean, const double* scale);

  winograd_transforms<T> winograd_2x2, winograd_4x4;
  double flops_per_second;  ///< of the tile on one core of the measured machine, for the cost model

  /// The ceilings of peak.hpp. fma_loop: `fma_loop_flops` operations on registers per iteration.
  float (*fma_loop)(std::size_t iterations);
  std::size_t fma_loop_flops;
  /// Reads `count` floats, a multiple of 1024, once; returns their sum.
  float (*read_loop)(const float* x, std::size_t count);
};

}  // namespace bit::inline v0::detail
