// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/stem_backward.hpp.
#pragma once

#include <bit/backend/cpu/stem_backward.hpp>

namespace bit::inline BIT_ABI::detail {

BIT_FUNC stem_backward_weights_operation::stem_backward_weights_operation(const backward_microkernel_table& backward,
                                                                          dims4 image, bit::window window,
                                                                          feature_map_ref dy,
                                                                          kernel_gradient_ref gradient)
    : backward_(&backward),
      image_(image),
      window_(window),
      dy_(dy),
      gradient_(gradient),
      columns_((image.w + 2 * window.padding) * image.c),
      spatial_tile_rows_(std::clamp<std::size_t>(64 * 1024 / (columns_ * sizeof(float)), 1, dy.height)) {}

BIT_FUNC std::size_t stem_backward_weights_operation::scratch_bytes() const {
  return (spatial_tile_rows_ * columns_ + block) *
         sizeof(float);  // the last outer product reads up to outer_rows beyond
}

BIT_FUNC void stem_backward_weights_operation::run(const training_context& run) const noexcept {
  float* staged = reinterpret_cast<float*>(run.scratch);
  std::fill_n(staged + spatial_tile_rows_ * columns_, block, 0.0f);
  const std::size_t panels = gradient_.panels(), row_values = window_.size * image_.c;
  const std::size_t panel_blocks = backward_->tile_columns / block, step = backward_->outer_rows;
  outer_product p{};
  p.a_pixel = window_.stride * image_.c;
  p.a_row = columns_;
  p.b_row = dy_.width * block;
  p.columns = dy_.width;
  p.images = 1;
  run.work(window_.size * panels, [&](std::size_t item) {
    const std::size_t ky = item / panels, panel = item % panels, first = panel * panel_blocks;
    p.b_block = first + 1 < dy_.blocks ? dy_.pixels() * block : 0;
    for (std::size_t n = 0; n < image_.n; ++n)
      for (std::size_t row = 0; row < dy_.height; row += spatial_tile_rows_) {
        p.rows = std::min(spatial_tile_rows_, dy_.height - row);
        stage(run, staged, n, ky, {row, row + p.rows});
        p.b = dy_.at<float>(run, n) + (first * dy_.pixels() + row * dy_.width) * block;
        p.add = n > 0 || row > 0;
        for (std::size_t m = 0; m < row_values; m += step) {
          p.a = staged + m;
          p.count = std::min(step, row_values - m);
          p.sum = gradient_.row(run, panel, 0, ky * row_values + m);
          backward_->outer(p);
        }
      }
  });
}

/// Copies the image rows under row ky of the window for some rows of dy, (w + 2·padding, c) each, with zeros around
/// them.
BIT_FUNC void stem_backward_weights_operation::stage(const training_context& run, float* to, std::size_t n,
                                                     std::size_t ky, work_range rows) const {
  const image_view<float>& image = run.image;
  for (std::size_t r = rows.begin; r < rows.end; ++r, to += columns_) {
    std::fill_n(to, columns_, 0.0f);
    const std::size_t row = r * window_.stride + ky;  // in the padded image
    if (row < window_.padding || row >= window_.padding + image_.h) continue;
    for (std::size_t x = 0; x < image_.w; ++x)
      for (std::size_t c = 0; c < image_.c; ++c)
        to[(window_.padding + x) * image_.c + c] = image.at(n, c, row - window_.padding, x);
  }
}

BIT_FUNC void image_backward_operation::run(const training_context& run) const noexcept {
  const std::size_t stride = window.stride, row_size = window.size * image.c * panel_columns;
  float* const to = run.outputs[output];
  const bool channels_last = run.output_layout == layout::nhwc;
  run.work(to ? max_items() : 0, [&](std::size_t item) {
    const std::size_t n = item / image.h, y = item % image.h;
    for (std::size_t c = 0; c < image.c; ++c)
      for (std::size_t x = 0; x < image.w; ++x) {
        float sum = 0;
        for (std::size_t ky = 0; ky < window.size; ++ky) {
          const std::size_t top = y + window.padding - ky;  // wraps above the first row, and is then too large
          if (top % stride != 0 || top / stride >= dy.height) continue;
          for (std::size_t kx = 0; kx < window.size; ++kx) {
            const std::size_t left = x + window.padding - kx;
            if (left % stride != 0 || left / stride >= dy.width) continue;
            const float* g = dy.at<float>(run, n) + (top / stride * dy.width + left / stride) * block;
            for (std::size_t b = 0; b < dy.blocks; ++b, g += dy.pixels() * block) {
              const float* k = kernel->panel<float>(b * block / panel_columns) + ky * row_size +
                               (kx * image.c + c) * panel_columns + b * block % panel_columns;
              for (std::size_t o = 0; o < block; ++o) sum += g[o] * k[o];
            }
          }
        }
        to[channels_last ? ((n * image.h + y) * image.w + x) * image.c + c
                         : ((n * image.c + c) * image.h + y) * image.w + x] = sum;
      }
  });
}

}  // namespace bit::inline BIT_ABI::detail
