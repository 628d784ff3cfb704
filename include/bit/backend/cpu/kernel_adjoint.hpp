// Gradient of a convolution's kernel: for each tap, channels of relu(norm(x)) times channels of dy, summed over pixels
// and images. An item owns some blocks of input channels and some panels of output channels and goes through all pixels
// in chunks that stay in the cache, so sums need no sharing and do not depend on the number of threads. Products and sums
// are of floats whatever the maps are made of; pair_adjoint.hpp is for instructions that multiply bfloat16 faster.
#pragma once

#include <bit/backend/cpu/conv.hpp>
#include <bit/backend/cpu/training_constants.hpp>
#include <bit/backend/cpu/training_context.hpp>

namespace bit::inline v0::detail {

/// Gradient of a standardised kernel, [panel][taps][padded rows per tap][tile_columns].
struct kernel_gradient_place : array_place {
  packing how;
  std::size_t columns = 0;  ///< of a panel

  std::size_t panels() const { return (how.columns + columns - 1) / columns; }
  std::size_t panel_size() const { return how.taps * how.padded_rows_per_tap * columns; }
  std::size_t bytes() const { return panels() * panel_size() * sizeof(float); }
  float* row(const run_context& run, std::size_t panel, std::size_t tap, std::size_t row) const {
    return at<float>(run) + panel * panel_size() + (tap * how.padded_rows_per_tap + row) * columns;
  }
};

/// How the gradient of a kernel is cut into items: a group of blocks of x by a group of panels of dy. Every group of panels
/// packs all blocks of x, and every group of blocks `packed_blocks` blocks of dy per panel: the cut that packs least.
class kernel_gradient_items {
 public:
  kernel_gradient_items(std::size_t blocks, std::size_t panels, std::size_t packed_blocks);

  std::size_t count() const { return block_groups_ * panel_groups_; }
  work_range blocks(std::size_t item) const { return part(blocks_, block_groups_, item / panel_groups_); }
  work_range panels(std::size_t item) const { return part(panels_, panel_groups_, item % panel_groups_); }
  /// Blocks of the largest item.
  std::size_t most_blocks() const { return (blocks_ + block_groups_ - 1) / block_groups_; }

 private:
  static work_range part(std::size_t total, std::size_t parts, std::size_t i) {
    return {cut(total, parts, i), cut(total, parts, i + 1)};
  }

  std::size_t blocks_, panels_, block_groups_ = 1, panel_groups_ = 1;
};

/// The contraction of a kernel_adjoint_step, compiled for one shape: maps are of type T. `in.kernel` is not used.
template <class T>
class kernel_adjoint_operation {
 public:
  kernel_adjoint_operation(const kernel_table<T>& kernels, const adjoint_kernels& adjoints, std::size_t images,
                           conv_input in, map_place dy, kernel_gradient_place gradient);

  std::size_t scratch_bytes() const;
  void run(const training_context& run) const noexcept;

 private:
  /// Some rows of some images.
  struct chunk {
    work_range images, rows;
  };
  /// Floats of a chunk of dy, where the first of a panel's blocks begins and how far the others are.
  struct dy_panel {
    const float* at;
    std::size_t block_stride, image_stride;
  };

  std::size_t chunks() const { return image_chunks_ * row_chunks_; }
  std::size_t panel_blocks() const { return adjoints_->tile_columns / block; }
  chunk chunk_at(std::size_t i) const;
  float* packed_x(const training_context& run) const { return reinterpret_cast<float*>(run.scratch) + 2 * scale_size_; }
  void pack(const training_context& run, const chunk& c, work_range blocks) const;
  dy_panel read_dy(const training_context& run, const chunk& c, std::size_t panel) const;
  void multiply(const training_context& run, const chunk& c, work_range blocks, std::size_t panel, bool add) const;

  const kernel_table<T>* kernels_;
  const adjoint_kernels* adjoints_;
  std::size_t images_;
  conv_input in_;
  map_place dy_;
  kernel_gradient_place gradient_;
  kernel_gradient_items items_;
  std::size_t image_chunks_, row_chunks_;
  std::size_t phase_columns_, row_size_, image_stride_, block_stride_, scale_size_;  ///< floats of the packed chunk
  std::size_t dy_image_stride_, dy_block_stride_;                                    ///< of a widened panel of dy
};

/// From the gradient of the standardised kernel to that of the stored one, added to the parameter's gradient.
struct standardise_adjoint_operation {
  const adjoint_kernels* kernels;
  kernel_gradient_place gradient;
  const trainable_parameter<float>* parameter;
  const standardisation* standard;

  void run(const training_context& run) const noexcept;
};

#if !BIT_HEADER_ONLY
extern template class kernel_adjoint_operation<float>;
extern template class kernel_adjoint_operation<bfloat16>;
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/kernel_adjoint.ipp>
#endif
