// 3x3 convolution of relu(norm(x)), stride 1, padding 1, by Winograd's F(2x2,3x3) or F(4x4,3x3): a group of some fifty
// output tiles is transformed into t·t matrices V[tile][cin], t = m + 2; each is multiplied by its matrix of the
// transformed kernel, panel by panel of output channels, and a panel's products are transformed back at once. V and
// the products of a panel stay in L2. Tiles of several small images share a group, so that the kernel is read less often.
#pragma once

#include <bit/backend/cpu/conv.hpp>

namespace bit::inline v0::detail {

/// Tiles of a group, at most: 28 to 64 measured alike where many groups share the kernel, 49 best where the kernel
/// comes from memory (28x28 in tiles of 4x4, 14x14 in tiles of 2x2).
inline constexpr std::size_t group_tiles = 64;

/// Blocks of 16 k in one sum of a product for tiles of 4x4, whose way back enlarges what the sums lost: most of such a
/// layer's error. Over eight random checkpoints of R50x1 and R101x1 the logits' error, in units of what PyTorch's float32
/// loses, fell from 1.27 (worst 1.88) with 8 blocks to 1.06 (worst 1.31), and no layer became slower.
inline constexpr std::size_t accurate_blocks_per_sum = 2;

/// A conv_step of one 3x3 source of stride and dilation 1, compiled for one shape; maps are of type T.
template <class T>
class winograd_operation {
 public:
  /// `tile`: 2 or 4, the rows and columns of an output tile; `input.kernel` has the matching form.
  winograd_operation(const microkernel_table<T>& microkernels, std::size_t images, feature_map_ref y, conv_input input,
                     std::size_t tile);

  void add_statistics(statistics_ref place) { statistics_ = place, has_statistics_ = true; }

  /// Pieces that an image's tiles are cut into: a function of the shape alone.
  std::size_t spatial_tiles() const { return spatial_tiles_; }
  std::size_t scratch_bytes() const;
  /// Of the kernel, transformed.
  std::size_t weight_bytes() const { return in_.kernel.template bytes<T>(); }
  bit::algorithm algorithm() const { return m_ == 2 ? algorithm::winograd_2x2 : algorithm::winograd_4x4; }
  /// What this thread reads first.
  next_weights first_read(const run_context& run) const;
  std::size_t max_items() const { return groups() * in_.kernel.panels; }
  void run(const run_context& run) const noexcept;

 private:
  /// Where a thread keeps its intermediate results.
  struct buffers {
    float *scale, *shift;  ///< [images of a group][channels]
    float* strip;
    std::byte* v;
    float* products;
  };
  /// Neighbouring tiles of one row of tiles of an image.
  struct tile_row {
    std::size_t image, spatial_tile;  ///< chunk of the image
    std::size_t row, column;          ///< first pixel of output
    std::size_t tiles;
    std::size_t index;  ///< of the first tile in its group
  };

  std::size_t image_tiles() const { return tile_rows_ * tile_columns_; }
  /// Chunks are whole rows of tiles, unless one row alone is too long.
  bool by_rows() const { return tile_columns_ <= group_tiles; }
  std::size_t groups() const;
  /// First tile of chunk `chunk` of an image.
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
  /// Parts that the panels are cut into for this many threads.
  std::size_t parts_for(std::size_t threads) const;
  next_weights first_product(const run_context& run, std::size_t panel) const;

  const microkernel_table<T>* microkernels_;
  const winograd_transforms<T>* transforms_;
  std::size_t images_;
  feature_map_ref y_;
  conv_input in_;
  statistics_ref statistics_;
  bool has_statistics_ = false;
  std::size_t m_, t_;                                     ///< output and input rows of a tile
  std::size_t tile_rows_, tile_columns_;                  ///< tiles of an image
  std::size_t spatial_tiles_ = 1, images_per_group_ = 1;  ///< one of them is 1
  std::size_t group_size_ = 0;                            ///< tiles of the largest group
  std::size_t strip_size_, v_stride_, product_stride_;    ///< elements
};

#if !BIT_HEADER_ONLY
extern template class winograd_operation<float>;
extern template class winograd_operation<bfloat16>;
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/winograd.ipp>
#endif
