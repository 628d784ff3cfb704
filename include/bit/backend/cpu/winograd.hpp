// SPDX-License-Identifier: Apache-2.0
// 3x3 convolution of relu(norm(x)), stride 1, padding 1, by Winograd's F(2x2,3x3) or F(4x4,3x3) (arXiv:1509.09308). The
// output consists of tiles of m x m pixels, m = 2 or 4. A group of some fifty tiles is transformed into t·t matrices
// V[tile][cin], t = m + 2 (input transform). Each is multiplied by its matrix of the transformed kernel, one panel of
// output channels after the other, and the t·t products of a panel are transformed to output pixels at once (output
// transform). V and the products of a panel stay in L2. Tiles of several small images share a group, so that the kernel
// is read less often.
#pragma once

#include <bit/backend/cpu/conv.hpp>
#include <type_traits>

namespace bit::inline BIT_ABI::detail {

/// The largest number of tiles in a group. From 28 to 64 tiles the time is the same where many groups share the kernel;
/// 49 are best where the kernel comes from memory (maps of 28x28 in tiles of 4x4, of 14x14 in tiles of 2x2).
inline constexpr std::size_t group_tiles = 64;

/// How many blocks of 16 channels a partial sum has in the products for tiles of 4x4. Their output transform enlarges
/// the rounding errors of the sums, which are most of such a layer's error, so the partial sums are shorter than
/// elsewhere. Over eight random checkpoints of R50x1 and R101x1 the logits' error, in units of PyTorch's float32 error,
/// is 1.27 (worst 1.88) with 8 blocks and 1.06 (worst 1.31) with 2, and no layer is slower.
inline constexpr std::size_t accurate_blocks_per_sum = 2;

/// A conv_step that winograd_applies() to, compiled for one shape, in dtype F.
template <class F>
class winograd_operation {
 public:
  using map = feature_map_of<F>;
  using weight = weight_of<F>;
  static_assert(std::is_same_v<accumulator_of<F>, float>, "the output transform reads floats");

  /// `tile` is 2 or 4, the rows and columns of an output tile; `input.kernel` must have the weight layout that belongs
  /// to it. `y` is the output map, of `images` images.
  winograd_operation(const microkernel_table<F>& microkernels, std::size_t images, feature_map_ref y, conv_input input,
                     std::size_t tile);

  void add_statistics(statistics_ref place) { statistics_ = place, has_statistics_ = true; }

  /// The number of spatial tiles (sets of Winograd tiles) that an image is cut into. It depends on the shape alone.
  std::size_t spatial_tiles() const { return spatial_tiles_; }
  /// The scratch bytes that each thread needs.
  std::size_t scratch_bytes() const;
  /// The bytes of the transformed kernel.
  std::size_t weight_bytes() const { return in_.kernel.template bytes<weight>(); }
  bit::algorithm algorithm() const { return m_ == 2 ? algorithm::winograd_2x2 : algorithm::winograd_4x4; }
  /// The weights that the thread of `run` reads first. The operation before prefetches them.
  next_weights first_read(const run_context& run) const;
  std::size_t max_items() const { return groups() * in_.kernel.panels; }
  void run(const run_context& run) const noexcept;

 private:
  /// The addresses of one thread's scratch.
  struct buffers {
    float *scale, *shift;  ///< folded norms, [images of a group][channels]
    float* strip;          ///< see winograd_input
    std::byte* v;          ///< the group's transformed input V
    float* products;       ///< the products of one panel
  };
  /// Neighbouring tiles in one row of tiles of an image.
  struct tile_row {
    std::size_t image, spatial_tile;
    std::size_t row, column;  ///< the first output pixel
    std::size_t tiles;        ///< how many tiles
    std::size_t index;        ///< the first tile's number within its group
  };

  std::size_t image_tiles() const { return tile_rows_ * tile_columns_; }
  /// Whether spatial tiles are whole rows of Winograd tiles, as they are unless one row has more tiles than a group.
  bool by_rows() const { return tile_columns_ <= group_tiles; }
  std::size_t groups() const;
  /// The first Winograd tile of a spatial tile, counted row by row within the image.
  std::size_t spatial_tile_begin(std::size_t spatial_tile) const;
  std::size_t tiles_of(std::size_t group) const;
  buffers divide(std::byte* scratch) const;
  template <class Function>
  void for_each_row(std::size_t group, Function f) const;
  void transform_input(const run_context& run, const buffers& b, std::size_t group) const;
  void multiply(const run_context& run, const buffers& b, std::size_t group, std::size_t panel,
                const next_weights& next) const;
  void transform_output(const run_context& run, const buffers& b, std::size_t group, std::size_t out_block,
                        std::size_t k) const;
  /// The number of groups that the panels are divided into for this many threads.
  std::size_t parts_for(std::size_t threads) const;
  next_weights first_product(const run_context& run, std::size_t panel) const;

  const microkernel_table<F>* microkernels_;
  const winograd_transforms<F>* transforms_;
  std::size_t images_;
  feature_map_ref y_;
  conv_input in_;
  statistics_ref statistics_;
  bool has_statistics_ = false;
  std::size_t m_, t_;                                     ///< rows (and columns) of a tile's output and of its input
  std::size_t tile_rows_, tile_columns_;                  ///< rows and columns of tiles in an image
  std::size_t spatial_tiles_ = 1, images_per_group_ = 1;  ///< at least one of the two is 1
  std::size_t group_size_ = 0;                            ///< tiles of the largest group
  std::size_t strip_size_, v_stride_, product_stride_;    ///< in numbers
};

#if !BIT_HEADER_ONLY
extern template class winograd_operation<float>;
extern template class winograd_operation<bfloat16>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/winograd.ipp>
#endif
