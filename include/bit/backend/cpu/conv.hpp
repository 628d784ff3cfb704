// SPDX-License-Identifier: Apache-2.0
// Direct convolution of relu(norm(x)), blocked as BLIS blocks a matrix product. An image's output is cut into spatial
// tiles. A thread packs the input pixels under one spatial tile, applying norm and ReLU on the way, and then multiplies
// the packed pixels by the weights, one panel of output channels after the other, with the register tile
// (isa/tile.inl). The packed pixels stay in L2 beside one panel of weights; no im2col matrix of a whole image exists.
// Merged rows: where a row of output is shorter than a register tile, the rows of a k x k convolution are packed once
// for each column of the kernel, so that the pixels of successive output rows are neighbours and a tile may run over
// the end of a row. Seven tiles of 7 pixels become four of 12 and 13.
#pragma once

#include <algorithm>
#include <array>
#include <bit/backend/cpu/context.hpp>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// Bytes that the packed pixels of a spatial tile may take. The CPUs that this is tuned for have an L2 of 1 MiB or
/// more, which holds them beside two K blocks of weights.
inline constexpr std::size_t spatial_tile_bytes = 448 * 1024;
/// Every spatial tile reads all weights of the convolution. Where the weights come from memory, a few spatial tiles
/// that do not fit L2 are faster than many that do, so a spatial tile may take a sixteenth of its kernel's bytes, up to
/// large_spatial_tile_bytes. The 3x3 convolution of 1536 channels on 14x14 pixels (85 MB of weights) takes 13.5 ms in
/// spatial tiles of one row and 4.9 ms in a single one; the strided one of 512 channels (9 MB) takes 0.97 ms in two and
/// 0.87 ms in one.
inline constexpr std::size_t spatial_tile_share_of_kernel = 16, large_spatial_tile_bytes = std::size_t{1536} << 10;
/// Bytes of a K block: the part of a weight panel that stays in L2 while all register tiles of a spatial tile read it,
/// beside the next K block, which the tiles prefetch. A larger panel is cut along K, the reduction dimension. Between
/// two K blocks the partial sums are stored in y and read again, so only float convolutions, whose y holds them
/// exactly, are cut. A 3x3 convolution of 512 channels on 7x7 pixels takes 0.80 ms with K blocks of 295 KB, 0.75 ms
/// with 197 KB and 0.80 ms with 148 KB (Emerald Rapids).
inline constexpr std::size_t k_block_bytes = 250 * 1024;
/// How many work items each thread should have. Where there are fewer spatial tiles than that, the panels are divided
/// as well. A thread that has finished its own items steals from the others one at a time, so small items leave less
/// waiting at the end: at batch 8, R50x1 spent 3.3 of 117 ms waiting with one item per spatial tile and 2.1 ms with
/// eight.
inline constexpr std::size_t items_per_thread = 8;

/// A conv_source whose operands have addresses: the input map, its norm, the packed kernel and the window.
struct conv_input {
  feature_map_ref x;
  norm_ref norm;
  weights_ref kernel;
  bit::window window;
};

/// A conv_step compiled for one shape, in dtype F.
template <class F>
class conv_operation {
 public:
  using map = feature_map_of<F>;
  using weight = weight_of<F>;

  conv_operation(const microkernel_table<F>& microkernels, std::size_t images, feature_map_ref y, conv_input main);

  void add_projection(conv_input projection);
  void add_residual(feature_map_ref residual) { residual_ = residual, has_residual_ = true; }
  void add_statistics(statistics_ref place) { statistics_ = place, has_statistics_ = true; }

  /// The number of spatial tiles that an image is cut into. It depends on the shape alone, never on the threads,
  /// because statistics are summed per spatial tile.
  std::size_t spatial_tiles() const { return spatial_tiles_; }
  /// The scratch bytes that each thread needs.
  std::size_t scratch_bytes() const;
  /// The bytes of the packed kernels, main and projection together.
  std::size_t weight_bytes() const;
  /// The weights that the thread of `run` reads first. The operation before prefetches them.
  next_weights first_read(const run_context& run) const;
  std::size_t max_items() const { return images_ * spatial_tiles_ * panels(); }
  void run(const run_context& run) const noexcept;

 private:
  /// How one input row of a k x k convolution is packed. With separate rows there is one group for each phase of the
  /// stride: group p holds the columns p, p + stride, p + 2·stride, ... of the zero-padded row. With merged rows there
  /// is one group for each column of the kernel: it holds the input columns that this kernel column multiplies, one for
  /// each column of the output.
  struct column_groups {
    std::size_t count, columns;
  };
  struct source {
    conv_input in;
    column_groups groups = {};
    // Distances in packed numbers: from one column group to the next, from one row of a phase to the next, from one
    // phase of rows to the next, from one block of channels to the next, from one image to the next.
    std::size_t group_stride = 0, row_stride = 0, phase_stride = 0, block_stride = 0, image_stride = 0;

    /// The offset of packed input row r, counted from the first row under the spatial tile.
    std::size_t row_offset(std::size_t r) const {
      return r % in.window.stride * phase_stride + r / in.window.stride * row_stride;
    }
  };
  /// How the work is divided: a work item is one spatial tile of at most `images` neighbouring images, multiplied by
  /// one group of panels. There are `batches` ranges of images and `groups` groups of panels.
  struct split {
    std::size_t images, batches, groups;
  };
  struct item {
    work_range images, panels;
    std::size_t spatial_tile;
  };
  /// A contiguous part of K within one K block that lies in one tap (k x k) or one source (1x1). `offset` is the
  /// distance in packed numbers from the pixel under a tile's first output; `ahead` prefetches this segment's share of
  /// the weights that are multiplied next.
  struct k_segment {
    std::size_t source, tap, offset, first_block, blocks;
    const weight* weights;
    prefetcher ahead;
  };
  struct k_segments {
    std::array<k_segment, 9> items;
    std::size_t count = 0;
  };
  /// Which part of which sum is being computed: the panel, the K block of the panel, and the image.
  struct sum_position {
    std::size_t panel, k_block, image;
  };
  /// How the output pixels of a spatial tile are divided into register tiles: `lines` lines of `line` pixels, each cut
  /// into `tiles` tiles. Only separate rows of a k x k convolution make more than one line.
  struct tiling {
    std::size_t line, lines, tiles;
  };
  /// What the register tiles of a work item prefetch for the item after it: that item's first weights, and, for each
  /// source, the pixels that it will pack.
  struct next_reads {
    next_weights weights;
    std::array<plane_lines, 2> pixels;
  };
  /// The addresses of one thread's scratch, per source: folded norms and packed pixels.
  struct buffers {
    float *scale[2], *shift[2];
    std::byte* packed[2];
  };

  bool by_rows() const { return sources_.front().in.window.size > 1; }
  /// What spatial tiles are cut from: the rows of the output for a k x k convolution, its pixels for a 1x1 one.
  std::size_t rows_or_pixels() const { return by_rows() ? y_.height : y_.pixels(); }
  std::size_t panels() const { return sources_.front().in.kernel.panels; }
  std::size_t taps() const { return sources_.front().in.window.size * sources_.front().in.window.size; }
  /// The length of the whole sum in blocks of 16 channels: taps times input blocks, over all sources.
  std::size_t sum_blocks() const;
  /// The first row or pixel of a spatial tile. Pixels are cut at multiples of the register tile where there are enough
  /// of them: 196 pixels in four spatial tiles of 49 would make register tiles of 12 and 13 pixels instead of 14.
  std::size_t spatial_tile_begin(std::size_t spatial_tile) const {
    const std::size_t tiles = (rows_or_pixels() + microkernels_->tile_rows - 1) / microkernels_->tile_rows;
    if (by_rows() || tiles < spatial_tiles_) return split_begin(rows_or_pixels(), spatial_tiles_, spatial_tile);
    return std::min(split_begin(tiles, spatial_tiles_, spatial_tile) * microkernels_->tile_rows, rows_or_pixels());
  }
  work_range rows_or_pixels_of(std::size_t spatial_tile) const {
    return {spatial_tile_begin(spatial_tile), spatial_tile_begin(spatial_tile + 1)};
  }
  column_groups groups_of(const conv_input& in) const;
  source make_source(const conv_input& in) const;
  /// The offset, in packed numbers, of the pixel that tap (ky, kx) multiplies for the first output.
  std::size_t tap_offset(const source& s, std::size_t ky, std::size_t kx) const;
  bool gains_by_merging() const;
  void choose_spatial_tiles();
  void choose_spatial_tiles(bool merged);
  split split_for(std::size_t threads) const;
  item item_at(const split& s, std::size_t i) const;
  buffers divide(std::byte* scratch) const;
  /// Packs the pixels of a work item. `folded` is the image whose folded norms `at` holds, updated when that changes.
  void pack(const run_context& run, const item& what, const buffers& at, std::size_t& folded) const;
  void pack_pixels(const source& s, std::byte* to, const map* x, const float* scale, const float* shift,
                   work_range pixels) const;
  void pack_rows(const source& s, std::byte* to, const map* x, const float* scale, const float* shift,
                 work_range rows) const;
  next_reads after(const run_context& run, const split& s, std::size_t i) const;
  plane_lines read_by(const run_context& run, const source& s, const item& what) const;
  void multiply(const run_context& run, const item& what, const buffers& at, const next_reads& next) const;
  void multiply_k_block(const run_context& run, const item& what, const buffers& at, sum_position in, k_segments& sum,
                        const next_reads& next) const;
  tiling tiling_of(const item& what) const;
  static prefetch_stream share_of(const plane_lines& all, const k_segment& part, std::size_t call, std::size_t calls);
  k_segments k_segments_of(const run_context& run, const item& what, std::size_t panel, std::size_t k_block,
                           const next_weights& next) const;
  /// The range of sum_blocks() that belongs to a K block.
  work_range k_block_range(std::size_t k_block) const;
  /// The weights of a K block of a panel, in both kernels where there is a projection.
  next_weights weights_of(const run_context& run, std::size_t panel, std::size_t k_block) const;

  const microkernel_table<F>* microkernels_;
  std::size_t images_;
  feature_map_ref y_, residual_;
  statistics_ref statistics_;
  bool has_residual_ = false, has_statistics_ = false;
  bool merged_rows_ = false;  ///< see the head of this file
  std::vector<source> sources_;
  std::size_t spatial_tiles_ = 1, spatial_tile_extent_ = 1, images_per_item_ = 1, k_blocks_ = 1;
};

#if !BIT_HEADER_ONLY
extern template class conv_operation<float>;
extern template class conv_operation<bfloat16>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/conv.ipp>
#endif
