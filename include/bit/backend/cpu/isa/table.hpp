// SPDX-License-Identifier: Apache-2.0
// The microkernels of one instruction set: plain functions on pointers, which do all arithmetic of the forward pass.
// They are written once, in isa/*.inl, and compiled for each instruction set.
//
// Activations are in the layout that oneDNN calls nChw16c: [n][c/16][h·w][16], blocks of 16 channels. A pixel of a
// block is one cache line of floats (64 bytes) or half a line of bfloat16, so that stores, residual reads and packing
// go through memory in order; in (n,h,w,c) they would jump by 4c bytes per pixel. Channels that pad the last block are
// zero.
//
// Weights are in panels of `tile_columns` output channels (a panel is BLIS's micro-panel of the matrix B); within a
// panel, K runs over taps and over input channels padded to blocks of 16.
#pragma once

#include <bit/backend/cpu/format.hpp>
#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline BIT_ABI::detail {

/// The number of channels in a block of the activation layout.
inline constexpr std::size_t block = 16;

/// The addresses that a register tile prefetches into L2 while it computes, so that weights and pixels are there when
/// they are needed: without prefetching, a batch of 1 waits for its 94 MB of weights, 8 % of R50x1's time. For each
/// block of 16 channels that it sums, the tile prefetches a fixed number of times (weight_prefetches, pixel_prefetches)
/// and moves on by `step` bytes each time; after the block it moves on by `jump` bytes more. A `step` below 64 bytes
/// prefetches some cache lines twice, which costs less than a loop over the exact number of lines.
struct prefetch_stream {
  const std::byte* from = nullptr;  ///< null: nothing is to be prefetched
  std::size_t step = 0, jump = 0;
};
/// How often a tile prefetches pixels per block of 16 channels.
inline constexpr std::size_t pixel_prefetches = 8;
/// How often a tile of `rows` pixels prefetches weights per block of 16 channels. A tile with few rows may be the only
/// one that reads its panel and must then prefetch the whole next panel: as often as 16 channels of a panel have cache
/// lines of floats. Larger tiles come at least in pairs and prefetch half of that. With a quarter, R50x1 at 128² takes
/// 9.7 instead of 9.1 ms.
constexpr std::size_t weight_prefetches(std::size_t rows, std::size_t tile_rows, std::size_t tile_columns) {
  return rows > tile_rows / 3 + 1 ? tile_columns / 2 : tile_columns;
}

/// One K segment of the sum that a register tile computes: `blocks` blocks of 16 channels. `a` points to packed pixels,
/// numbers of microkernel_table::packed_bytes bytes: pixel m of block i begins at number i·a_stride + m·16. `b` points
/// to the segment's weights, which are contiguous: [16·blocks][tile_columns] for float. For bfloat16 two successive
/// channels are interleaved, [8·blocks][tile_columns][2], as the instruction vdpbf16ps reads them.
template <class Weight>
struct segment {
  const std::byte* a;
  std::size_t a_stride;
  std::size_t blocks;
  const Weight* b;
  prefetch_stream weights_ahead = {};  ///< contiguous: its jump is 0
  prefetch_stream pixels_ahead = {};
};

/// How many blocks of 16 channels a tile sums before it adds the partial sum to a total. A float sum of n random terms
/// has an error of about sqrt(n / 2) roundings; partial sums of 128 terms keep long sums (K up to 18,432 in R152x4) as
/// accurate as short ones. Over twelve random checkpoints of R50x1 and R101x1 this lowers the logits' error from 1.1 to
/// 0.8 times that of PyTorch's float32, at the same rate (253 GFLOP/s, Zen 5).
inline constexpr std::size_t default_blocks_per_sum = 8;

/// Where a register tile of m pixels times `tile_columns` output channels writes its results.
template <class Out>
struct tile_output {
  Out* y;                ///< pixel 0 of the first block
  std::size_t y_stride;  ///< elements from one block of channels to the next
  const Out* residual;   ///< is added to the sums; strides as y, may be y itself; or null
  double* statistics;    ///< [block][2][16]: the tile's sums and sums of squares are added to it; or null
  std::size_t blocks;    ///< blocks of y that exist; the last panel of weights may have more columns
  std::size_t blocks_per_sum = default_blocks_per_sum;
  /// Factors of the sums, one for each of the panel's tile_columns output channels; the residual is added afterwards.
  /// Only formats with cpu_format::column_scale read it.
  const float* column_scale = nullptr;
};

/// What the stem's register tile reads: rows of the image, channels last, with zeros around them.
struct stem_window {
  const float* image;      ///< the first value under the window of output pixel 0
  std::size_t pixel;       ///< floats from the window of one output pixel to that of the next
  std::size_t row;         ///< floats from one row of the window to the next
  std::size_t rows;        ///< number of rows of the window
  std::size_t row_values;  ///< number of values in one row of the window, which are contiguous
  const float* weights;    ///< [rows·row_values][tile_columns]
};

/// The input transform's operands: neighbouring Winograd tiles of m x m output pixels in one row of tiles, for one
/// block of 16 channels. A tile reads t x t input pixels, t = m + 2.
template <class Map>
struct winograd_input {
  const Map* x;               ///< the block's plane, [height][width][16]
  std::size_t height, width;  ///< of x, and of the output, since the padding is 1
  std::size_t row, column;    ///< the first output pixel of the first tile
  std::size_t tiles;
  const float *scale, *shift;  ///< the block's folded norm
  float floor;                 ///< values below it are raised to it: 0 is ReLU, -infinity changes nothing
  float* strip;                ///< scratch, [t][tiles·m + 2][16]
  std::byte* v;                ///< [t·t] products, each [tiles][16] packed numbers
  std::size_t v_stride;        ///< packed numbers between products
};

/// The output transform's operands: the same tiles, whose products become output pixels.
template <class Map>
struct winograd_output {
  const float* m;        ///< [t·t] products, each [tiles][16]
  std::size_t m_stride;  ///< floats between products
  Map* y;                ///< the block's plane, [height][width][16]
  std::size_t height, width, row, column, tiles;
  double* statistics;  ///< [2][16]: the tiles' sums and sums of squares are added to it; or null
};

/// The Winograd transforms of one tile size. winograd.inl gives their matrices.
template <class F>
struct winograd_transforms {
  void (*input)(const winograd_input<feature_map_of<F>>& in);
  void (*output)(const winograd_output<feature_map_of<F>>& out);
  /// The kernel transform: taps [9][rows][tile_columns] become t·t matrices, u_stride elements apart, each in the order
  /// of segment::b.
  void (*kernel)(weight_of<F>* u, std::size_t u_stride, const float* taps, std::size_t rows);
};

/// The microkernels of one instruction set for dtype F. None throws or allocates; pointers are aligned to
/// 64 bytes where nothing else is said.
template <class F>
struct microkernel_table {
  using map = feature_map_of<F>;
  using weight = weight_of<F>;
  static constexpr std::size_t max_tile_rows = 14;
  std::size_t tile_rows;     ///< pixels of the largest register tile
  std::size_t tile_columns;  ///< output channels of a register tile, a multiple of 16
  /// Bytes of each number of a packed pixel. What pixels are packed as depends on the weights and on the instruction
  /// set: bfloat16 weights, for instance, are multiplied by bfloat16 pixels or by floats (product, in isa/vector.inl).
  std::size_t packed_bytes;

  /// tile[m - 1], the register tile of m pixels: y[0..m) = residual + sum over segments of a·b, summed in float, and
  /// the statistics of y.
  void (*tile[max_tile_rows])(const segment<weight>* segments, std::size_t count, const tile_output<map>& out);
  /// The same with y as the sums are, unrounded. Callers give no residual and no statistics.
  void (*product[max_tile_rows])(const segment<weight>* segments, std::size_t count,
                                 const tile_output<accumulator_of<F>>& out);
  /// stem_tile[m - 1]: m output pixels of the first convolution, in float whatever F is. Blocks are y_stride floats
  /// apart.
  void (*stem_tile[max_tile_rows])(float* y, std::size_t y_stride, std::size_t blocks, const stem_window& window);

  /// y[p] = max(0, scale·x[p·stride] + shift) for one block of 16 channels; `stride` counts pixels. NaN stays NaN.
  void (*normalise)(map* y, const map* x, std::size_t pixels, std::size_t stride, const float* scale,
                    const float* shift);
  /// The same with y in packed numbers.
  void (*pack_normalised)(std::byte* y, const map* x, std::size_t pixels, std::size_t stride, const float* scale,
                          const float* shift);
  /// y[p] = x[p·stride] as packed numbers, for one block of 16 channels.
  void (*pack)(std::byte* y, const map* x, std::size_t pixels, std::size_t stride);
  /// y = x as packed numbers, for whole pixels of 16 channels.
  void (*pack_floats)(std::byte* y, const float* x, std::size_t pixels);
  /// normalise() with y in float, whatever F is.
  void (*normalise_to_float)(float* y, const map* x, std::size_t pixels, std::size_t stride, const float* scale,
                             const float* shift);
  /// y[p] = x[p·stride], converted to float, for one block of 16 channels.
  void (*widen)(float* y, const map* x, std::size_t pixels, std::size_t stride);
  /// sum[16] += the sum over the pixels of max(0, scale·x + shift), in double.
  void (*normalised_sum)(double* sum, const map* x, std::size_t pixels, const float* scale, const float* shift);
  /// y[p] = the maximum over the 3x3 window around pixel 2p of three rows, for one block of 16 channels. A null row
  /// counts as zeros, and so do pixels beyond the rows' `width`.
  void (*max_pool_row)(map* y, std::size_t pixels, const float* const rows[3], std::size_t width);
  /// Adds the pixels' sums and sums of squares to statistics [2][16].
  void (*accumulate_statistics)(double* statistics, const map* x, std::size_t pixels);
  /// y = x rounded to the type of feature maps, for whole pixels of 16 channels.
  void (*narrow)(map* y, const float* x, std::size_t pixels);

  /// The sums of weight standardisation, for `columns` <= tile_columns output channels of a kernel (rows, cout): adds,
  /// per column, the sum of x - mean and the sum of its square. The kernel's rows lie `stride` bytes apart at any
  /// address; the doubles need no alignment either.
  void (*column_sums)(double* sums, double* squares, const double* mean, const std::byte* x, std::size_t stride,
                      std::size_t rows, std::size_t columns);
  /// y = (x - mean)·scale, computed in double and stored in the order of segment::b. Columns from `columns` on become
  /// -mean·scale; if the number of rows is odd, the missing half of the last pair becomes 0.
  void (*scale_columns)(weight* y, const std::byte* x, std::size_t stride, std::size_t rows, std::size_t columns,
                        const double* mean, const double* scale);
  /// The same in float, whatever F is, as [rows][tile_columns]: for the stem's kernel.
  void (*scale_columns_float)(float* y, const std::byte* x, std::size_t stride, std::size_t rows, std::size_t columns,
                              const double* mean, const double* scale);

  winograd_transforms<F> winograd_2x2, winograd_4x4;
  double flops_per_second;  ///< the register tile's rate on one core of the measured machine, for the cost model

  /// The loop that measures the CPU's peak for peak.hpp: `fma_loop_flops` operations on registers per iteration.
  float (*fma_loop)(std::size_t iterations);
  std::size_t fma_loop_flops;
  /// The loop that measures memory for peak.hpp: reads `count` floats, a multiple of 1024, once and returns their sum.
  float (*read_loop)(const float* x, std::size_t count);
};

}  // namespace bit::inline BIT_ABI::detail
