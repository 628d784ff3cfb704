// Back through the root block: the pool, then the 7x7 kernel, and the image if the caller asks for its gradient.
#pragma once

#include <bit/backend/cpu/kernel_adjoint.hpp>

namespace bit::inline v0::detail {

/// Gradient of the map before stem_pool; x and dx are in float whatever T, the type of dy, is.
template <class T>
struct max_pool_adjoint_operation {
  const map_adjoint_kernels<T>* kernels;
  std::size_t images;
  map_place x, dy, dx;

  void run(const training_context& run) const noexcept {
    run.work(images * x.blocks, [&](std::size_t item) {
      const std::size_t n = item / x.blocks, b = item % x.blocks, plane = x.pixels() * block;
      float* to = dx.at<float>(run, n) + b * plane;
      std::fill_n(to, plane, 0.0f);
      kernels->max_pool(to, x.at<float>(run, n) + b * plane, dy.at<T>(run, n) + b * dy.pixels() * block, x.height,
                        x.width, dy.height, dy.width);
    });
  }
};

/// Gradient of the stem's standardised kernel, rows (ky,kx,c): for each ky the image's rows are staged channels last, so
/// that the kernel's (kx,c) are neighbours at every pixel. An item is one ky and one panel.
class stem_kernel_adjoint_operation {
 public:
  stem_kernel_adjoint_operation(const adjoint_kernels& adjoints, dims4 image, bit::window window, map_place dy,
                                kernel_gradient_place gradient);

  std::size_t scratch_bytes() const;
  void run(const training_context& run) const noexcept;

 private:
  void stage(const training_context& run, float* to, std::size_t n, std::size_t ky, work_range rows) const;

  const adjoint_kernels* adjoints_;
  dims4 image_;
  bit::window window_;
  map_place dy_;
  kernel_gradient_place gradient_;
  std::size_t columns_, chunk_rows_;  ///< floats of a staged row; rows of dy at a time
};

/// Gradient of the image, (n,c,h,w) in the caller's memory: one item per row. Plain loops: it is asked for rarely.
struct image_adjoint_operation {
  dims4 image;
  bit::window window;
  map_place dy;
  const packed_constant* kernel;  ///< of kernel_use::stem
  std::size_t panel_columns;

  void run(const training_context& run) const noexcept;
};

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/stem_adjoint.ipp>
#endif
