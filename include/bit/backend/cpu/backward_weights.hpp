// SPDX-License-Identifier: Apache-2.0
// Backward weights: the gradient of a convolution's kernel. For each tap it is the product of the channels of
// relu(norm(x)) and the channels of dy, summed over pixels and images. A work item owns some blocks of input channels
// and some panels of output channels and goes through all pixels, one spatial tile after the other, each of which stays
// in the cache. No two threads add to the same sum, so gradients do not depend on the number of threads. Products and
// sums are floats whatever the type of the maps; backward_weights_pairs.hpp is for instructions that multiply bfloat16
// faster.
#pragma once

#include <bit/backend/cpu/conv.hpp>
#include <bit/backend/cpu/training_context.hpp>
#include <bit/backend/cpu/training_weights.hpp>

namespace bit::inline BIT_ABI::detail {

/// The gradient of a standardised kernel, an array [panel][taps][padded rows per tap][tile_columns] in the arena.
struct kernel_gradient_ref : array_ref {
  packing how;
  std::size_t columns = 0;  ///< output channels of a panel

  std::size_t panels() const { return (how.columns + columns - 1) / columns; }
  std::size_t panel_size() const { return how.taps * how.padded_rows_per_tap * columns; }
  std::size_t bytes() const { return panels() * panel_size() * sizeof(float); }
  float* row(const run_context& run, std::size_t panel, std::size_t tap, std::size_t row) const {
    return at<float>(run) + panel * panel_size() + (tap * how.padded_rows_per_tap + row) * columns;
  }
};

/// How the gradient of a kernel is divided into work items: a group of blocks of x times a group of panels of dy. Every
/// group of panels packs all blocks of x again, and every group of blocks packs `packed_blocks` blocks of dy per panel
/// again; the division with the least packing is chosen.
class kernel_gradient_items {
 public:
  kernel_gradient_items(std::size_t blocks, std::size_t panels, std::size_t packed_blocks);

  std::size_t count() const { return block_groups_ * panel_groups_; }
  work_range blocks(std::size_t item) const { return part(blocks_, block_groups_, item / panel_groups_); }
  work_range panels(std::size_t item) const { return part(panels_, panel_groups_, item % panel_groups_); }
  /// The number of blocks in the largest item.
  std::size_t most_blocks() const { return (blocks_ + block_groups_ - 1) / block_groups_; }

 private:
  static work_range part(std::size_t total, std::size_t parts, std::size_t i) {
    return {split_begin(total, parts, i), split_begin(total, parts, i + 1)};
  }

  std::size_t blocks_, panels_, block_groups_ = 1, panel_groups_ = 1;
};

/// The contraction of a backward_weights_step over pixels and images, compiled for one shape, in dtype F;
/// `in.kernel` is not used.
template <class F>
class backward_weights_operation {
 public:
  using map = feature_map_of<F>;

  backward_weights_operation(const microkernel_table<F>& microkernels, const backward_microkernel_table& backward,
                             std::size_t images, conv_input in, feature_map_ref dy, kernel_gradient_ref gradient);

  std::size_t scratch_bytes() const;
  std::size_t max_items() const { return items_.count(); }
  void run(const training_context& run) const noexcept;

 private:
  /// A range of output rows in a range of images.
  struct spatial_tile {
    work_range images, rows;
  };
  /// Where the floats of a spatial tile of dy lie for one panel: the first block, and the distances to the next block
  /// and to the next image.
  struct dy_panel {
    const float* at;
    std::size_t block_stride, image_stride;
  };

  std::size_t spatial_tiles() const { return image_groups_ * row_tiles_; }
  std::size_t panel_blocks() const { return backward_->tile_columns / block; }
  spatial_tile spatial_tile_at(std::size_t i) const;
  float* packed_x(const training_context& run) const { return reinterpret_cast<float*>(run.scratch) + 2 * scale_size_; }
  void pack(const training_context& run, const spatial_tile& c, work_range blocks) const;
  dy_panel read_dy(const training_context& run, const spatial_tile& c, std::size_t panel) const;
  void multiply(const training_context& run, const spatial_tile& c, work_range blocks, std::size_t panel,
                bool add) const;

  const microkernel_table<F>* microkernels_;
  const backward_microkernel_table* backward_;
  std::size_t images_;
  conv_input in_;
  feature_map_ref dy_;
  kernel_gradient_ref gradient_;
  kernel_gradient_items items_;
  std::size_t image_groups_, row_tiles_;
  std::size_t phase_columns_, row_size_, image_stride_, block_stride_, scale_size_;  ///< of packed x, in floats
  std::size_t dy_image_stride_, dy_block_stride_;                                    ///< of a widened panel of dy
};

/// Takes the gradient of the standardised kernel through weight standardisation and adds it to the parameter's
/// gradient.
struct standardise_backward_operation {
  const backward_microkernel_table* microkernels;
  kernel_gradient_ref gradient;
  const trainable_parameter<float>* parameter;
  const standardisation* standard;

  std::size_t max_items() const { return gradient.panels(); }
  void run(const training_context& run) const noexcept;
};

#if !BIT_HEADER_ONLY
extern template class backward_weights_operation<float>;
extern template class backward_weights_operation<bfloat16>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/backward_weights.ipp>
#endif
