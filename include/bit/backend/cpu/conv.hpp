// Convolution of relu(norm(x)): packs a chunk of pixels (1x1) or of zero-padded rows (k x k) with norm and ReLU applied,
// then runs the register tile over it, panel by panel of output channels. A packed chunk stays in L2 beside one panel of
// weights; nothing like a whole-image im2col exists, but rows shorter than a tile are packed once for each column of the
// kernel, so that rows of output follow each other and a tile runs over their ends: seven tiles of 7 pixels are four of 12
// and 13.
#pragma once

#include <algorithm>
#include <array>
#include <bit/backend/cpu/context.hpp>
#include <vector>

namespace bit::inline v0::detail {

/// Bytes of a packed chunk. L2 of the machines that count is 1 MiB or more, and holds a chunk beside two slices of
/// weights.
inline constexpr std::size_t spatial_tile_bytes = 448 * 1024;
/// Every chunk reads all weights. Where these come from memory, few large chunks are the lesser evil, even if they do not
/// fit L2: a chunk may have a sixteenth of its kernel's bytes, up to large_spatial_tile_bytes. The 3x3 convolution of 1536
/// channels on 14x14 pixels (85 MB) took 13.5 ms in chunks of one row and takes 4.9 as one; the strided one of 512
/// channels (9 MB) 0.97 ms in two chunks and 0.87 in one.
inline constexpr std::size_t spatial_tile_share_of_kernel = 16, large_spatial_tile_bytes = std::size_t{1536} << 10;
/// What L2 keeps of a panel while the tiles of a chunk go over it, and of the weights that come after it, which the tiles
/// ask for. A larger panel is taken in slices of k; between them the sums wait in y, so only float convolutions are
/// sliced. 3x3 of 512 channels on 7x7 pixels: 0.80 ms in slices of 295 KB, 0.75 of 197, 0.80 of 148 (Emerald Rapids).
inline constexpr std::size_t k_block_bytes = 250 * 1024;
/// Items for each thread, by cutting the panels where there are few chunks: whoever ends first takes from the others one
/// item at a time. With one item per chunk R50x1 at batch 8 lost 3.3 of 117 ms to threads that waited, with eight 2.1.
inline constexpr std::size_t items_per_thread = 8;

/// A conv_source with its operands found.
struct conv_input {
  feature_map_ref x;
  norm_ref norm;
  weights_ref kernel;
  bit::window window;
};

/// A conv_step compiled for one shape; maps and products are of type T.
template <class T>
class conv_operation {
 public:
  conv_operation(const microkernel_table<T>& microkernels, std::size_t images, feature_map_ref y, conv_input main);

  void add_projection(conv_input projection);
  void add_residual(feature_map_ref residual) { residual_ = residual, has_residual_ = true; }
  void add_statistics(statistics_ref place) { statistics_ = place, has_statistics_ = true; }

  /// Pieces that an image's pixels are cut into: a function of the shape alone.
  std::size_t spatial_tiles() const { return spatial_tiles_; }
  std::size_t scratch_bytes() const;
  /// Of the kernels.
  std::size_t weight_bytes() const;
  /// What this thread reads first.
  next_weights first_read(const run_context& run) const;
  std::size_t max_items() const { return images_ * spatial_tiles_ * panels(); }
  void run(const run_context& run) const noexcept;

 private:
  /// How a row of k x k's input is packed: as one group of columns for each phase of the stride, zeros around them, or,
  /// where rows are joined, one for each column of the kernel: those that it meets.
  struct column_groups {
    std::size_t count, columns;
  };
  struct source {
    conv_input in;
    column_groups groups = {};
    // Packed numbers from one group, row of a phase, phase of the stride, block of channels, image to the next.
    std::size_t group_stride = 0, row_stride = 0, phase_stride = 0, block_stride = 0, image_stride = 0;

    /// Where row r of a packed chunk begins.
    std::size_t row_offset(std::size_t r) const {
      return r % in.window.stride * phase_stride + r / in.window.stride * row_stride;
    }
  };
  /// How the work is shared: an item is one chunk of `images` neighbouring images times one group of panels.
  struct split {
    std::size_t images, batches, groups;
  };
  struct item {
    work_range images, panels;
    std::size_t spatial_tile;
  };
  /// A stretch of the sum over k: its weights, where its pixels lie from those of the tile's first output, and its part
  /// of the weights that come next.
  struct k_segment {
    std::size_t source, tap, offset, first_block, blocks;
    const T* weights;
    prefetcher ahead;
  };
  struct k_segments {
    std::array<k_segment, 9> items;
    std::size_t count = 0;
  };
  struct sum_position {
    std::size_t panel, k_block, image;
  };
  /// The tiles of an item's chunk: `lines` of `line` pixels, each in `tiles` tiles.
  struct tiling {
    std::size_t line, lines, tiles;
  };
  /// What the tiles of an item ask for in the end: the next item's first weights, and of each source the pixels that are
  /// packed next.
  struct next_reads {
    next_weights weights;
    std::array<plane_lines, 2> pixels;
  };
  /// A thread's scratch, per source.
  struct buffers {
    float *scale[2], *shift[2];
    std::byte* packed[2];
  };

  bool by_rows() const { return sources_.front().in.window.size > 1; }
  std::size_t rows_or_pixels() const { return by_rows() ? y_.height : y_.pixels(); }
  std::size_t panels() const { return sources_.front().in.kernel.panels; }
  std::size_t taps() const { return sources_.front().in.window.size * sources_.front().in.window.size; }
  /// Of 16 k in the whole sum.
  std::size_t sum_blocks() const;
  /// Pixels are cut into whole tiles where there are enough: 196 in four chunks of 49 made tiles of 12 and 13.
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
  /// Where the tile finds the pixels under tap (ky, kx) of the first output.
  std::size_t tap_offset(const source& s, std::size_t ky, std::size_t kx) const;
  bool gains_by_merging() const;
  void choose_spatial_tiles();
  void choose_spatial_tiles(bool merged);
  split split_for(std::size_t threads) const;
  item item_at(const split& s, std::size_t i) const;
  buffers divide(std::byte* scratch) const;
  /// `folded`: the image whose norms `at` holds, before and after.
  void pack(const run_context& run, const item& what, const buffers& at, std::size_t& folded) const;
  template <class Packed>
  void pack_as(const run_context& run, const item& what, const buffers& at, std::size_t& folded) const;
  template <class Packed>
  void pack_pixels(const source& s, Packed* to, const T* x, const float* scale, const float* shift,
                   work_range pixels) const;
  template <class Packed>
  void pack_rows(const source& s, Packed* to, const T* x, const float* scale, const float* shift,
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
  /// Which of sum_blocks() a slice takes.
  work_range k_block_range(std::size_t k_block) const;
  /// A slice of a panel, of both kernels where there is a projection.
  next_weights weights_of(const run_context& run, std::size_t panel, std::size_t k_block) const;

  const microkernel_table<T>* microkernels_;
  std::size_t images_;
  feature_map_ref y_, residual_;
  statistics_ref statistics_;
  bool has_residual_ = false, has_statistics_ = false;
  bool merged_rows_ = false;  ///< rows of k x k
  std::vector<source> sources_;
  std::size_t spatial_tiles_ = 1, spatial_tile_extent_ = 1, images_per_item_ = 1, k_blocks_ = 1;
};

#if !BIT_HEADER_ONLY
extern template class conv_operation<float>;
extern template class conv_operation<bfloat16>;
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/conv.ipp>
#endif
