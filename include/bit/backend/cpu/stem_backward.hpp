// SPDX-License-Identifier: Apache-2.0
// The backward pass of the root block: the pool, then the 7x7 kernel, and the image if the caller wants its gradient.
#pragma once

#include <bit/backend/cpu/backward_weights.hpp>

namespace bit::inline BIT_ABI::detail {

/// The gradient of the map before stem_pool. dy is of type T; x and dx are float whatever T is.
template <class T>
struct max_pool_backward_operation {
  const backward_map_microkernel_table<T>* microkernels;
  std::size_t images;
  feature_map_ref x, dy, dx;

  std::size_t max_items() const { return images * x.blocks; }
  void run(const training_context& run) const noexcept {
    run.work(images * x.blocks, [&](std::size_t item) {
      const std::size_t n = item / x.blocks, b = item % x.blocks, plane = x.pixels() * block;
      float* to = dx.at<float>(run, n) + b * plane;
      std::fill_n(to, plane, 0.0f);
      microkernels->max_pool(to, x.at<float>(run, n) + b * plane, dy.at<T>(run, n) + b * dy.pixels() * block, x.height,
                             x.width, dy.height, dy.width);
    });
  }
};

/// The gradient of the stem's standardised kernel, whose rows are (ky,kx,c). For each ky, image rows are copied to
/// scratch with channels last, so that the values under the kernel's (kx,c) are contiguous for every output pixel. A
/// work item is one ky and one panel.
class stem_backward_weights_operation {
 public:
  stem_backward_weights_operation(const backward_microkernel_table& backward, dims4 image, bit::window window,
                                  feature_map_ref dy, kernel_gradient_ref gradient);

  std::size_t scratch_bytes() const;
  std::size_t max_items() const { return window_.size * gradient_.panels(); }
  void run(const training_context& run) const noexcept;

 private:
  void stage(const training_context& run, float* to, std::size_t n, std::size_t ky, work_range rows) const;

  const backward_microkernel_table* backward_;
  dims4 image_;
  bit::window window_;
  feature_map_ref dy_;
  kernel_gradient_ref gradient_;
  std::size_t columns_, spatial_tile_rows_;  ///< floats of a staged row; rows of dy in a spatial tile
};

/// The gradient of the image, in the caller's memory run_context::outputs[output] and in its layout; nothing is done where
/// that address is null. A work item is one row. It is plain loops, since it is rarely wanted.
struct image_backward_operation {
  dims4 image;
  bit::window window;
  feature_map_ref dy;
  const packed_weights* kernel;  ///< packed for kernel_use::stem
  std::size_t panel_columns;
  std::size_t output;

  std::size_t max_items() const { return image.n * image.h; }
  void run(const training_context& run) const noexcept;
};

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/stem_backward.ipp>
#endif
