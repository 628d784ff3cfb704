// SPDX-License-Identifier: Apache-2.0
// Backward weights in bfloat16, for CPUs with an instruction that multiplies pairs of bfloat16 faster than floats. It
// works as backward_weights.hpp does, but both operands are packed into pairs: the same pixel of two images
// (isa/backward_pairs_table.hpp says why). If the number of images is odd, the last one is paired with zeros.
#pragma once

#include <bit/backend/cpu/backward_weights.hpp>

namespace bit::inline BIT_ABI::detail {

/// The contraction of a backward_weights_step over pixels and images, compiled for one shape. Feature maps are
/// bfloat16, sums are float; `in.kernel` is not used.
class backward_weights_pairs_operation {
 public:
  backward_weights_pairs_operation(const microkernel_table<bfloat16>& microkernels,
                                   const backward_pair_microkernel_table& backward, std::size_t images, conv_input in,
                                   feature_map_ref dy, kernel_gradient_ref gradient);

  std::size_t scratch_bytes() const;
  std::size_t max_items() const { return items_.count(); }
  void run(const training_context& run) const noexcept;

 private:
  /// A range of output rows in a range of pairs of images.
  struct spatial_tile {
    work_range pairs, rows;
  };
  /// The addresses of one thread's scratch.
  struct buffers {
    float *scale[2], *shift[2];  ///< the folded norms of the two images of a pair
    bfloat16* row[2];            ///< a packed row of each
    bfloat16 *a, *b;             ///< the spatial tile's blocks of x, and one panel of its dy, in pairs
  };

  std::size_t pairs() const { return (images_ + 1) / 2; }
  std::size_t spatial_tiles() const { return pair_groups_ * row_tiles_; }
  std::size_t panel_blocks() const { return microkernels_->tile_columns / block; }
  spatial_tile spatial_tile_at(std::size_t i) const;
  buffers divide(std::byte* scratch) const;
  void pack_x(const training_context& run, const buffers& at, const spatial_tile& c, work_range blocks) const;
  void pack_block(const training_context& run, const buffers& at, std::size_t pair, work_range rows, std::size_t b,
                  bfloat16* to) const;
  void pack_dy(const training_context& run, const buffers& at, const spatial_tile& c, std::size_t panel) const;
  void multiply(const training_context& run, const buffers& at, const spatial_tile& c, work_range blocks,
                std::size_t panel, bool add) const;

  const microkernel_table<bfloat16>* microkernels_;
  const backward_pair_microkernel_table* backward_;
  std::size_t images_;
  conv_input in_;
  feature_map_ref dy_;
  kernel_gradient_ref gradient_;
  kernel_gradient_items items_;
  std::size_t pair_groups_, row_tiles_;
  std::size_t phase_columns_, row_pixels_;                 ///< pixels of a packed row of x: of one phase, of all phases
  std::size_t pair_stride_, block_stride_, dy_pair_size_;  ///< in numbers
};

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/backward_weights_pairs.ipp>
#endif
