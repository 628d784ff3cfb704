// Gradient of a convolution's kernel: for each tap, channels of relu(norm(x)) times channels of dy, summed over pixels
// and images. An item owns some blocks of input channels and some panels of output channels and goes through all pixels
// in chunks that stay in L1, so sums need no sharing and do not depend on the number of threads.
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

/// The contraction of a kernel_adjoint_step, compiled for one shape. `in.kernel` is not used.
class kernel_adjoint_operation {
 public:
  kernel_adjoint_operation(const kernel_table<float>& kernels, const adjoint_kernels& adjoints, std::size_t images,
                           conv_input in, map_place dy, kernel_gradient_place gradient);

  std::size_t scratch_bytes() const;
  void run(const training_context& run) const noexcept;

 private:
  /// Some rows of some images.
  struct chunk {
    work_range images, rows;
  };

  std::size_t chunks() const { return image_chunks_ * row_chunks_; }
  chunk chunk_at(std::size_t i) const;
  void pack(const training_context& run, const chunk& c, work_range blocks) const;
  void multiply(const training_context& run, const chunk& c, work_range blocks, work_range panels, bool add) const;

  const kernel_table<float>* kernels_;
  const adjoint_kernels* adjoints_;
  std::size_t images_;
  conv_input in_;
  map_place dy_;
  kernel_gradient_place gradient_;
  std::size_t image_chunks_, row_chunks_, block_groups_, panel_groups_;
  std::size_t phase_columns_, row_size_, image_stride_, block_stride_, scale_size_;  ///< floats of the packed chunk
};

/// From the gradient of the standardised kernel to that of the stored one, added to the parameter's gradient.
struct standardise_adjoint_operation {
  const adjoint_kernels* kernels;
  kernel_gradient_place gradient;
  const trainable_parameter<float>* parameter;
  const standardisation* standard;

  void run(const training_context& run) const noexcept;
};

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/kernel_adjoint.ipp>
#endif
