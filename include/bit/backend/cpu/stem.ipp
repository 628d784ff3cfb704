// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/stem.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/stem.hpp>
#include <cstring>

namespace bit::inline BIT_ABI::detail {

template <class F>
stem_operation<F>::stem_operation(const microkernel_table<F>& microkernels, const packed_weights& kernel,
                                  bit::window window, dims4 image, feature_map_ref y, feature_map_ref unpooled)
    : microkernels_(&microkernels),
      kernel_(&kernel),
      window_(window),
      image_(image),
      y_(y),
      unpooled_(unpooled),
      conv_height_(window.out(image.h)),
      conv_width_(window.out(image.w)),
      staged_columns_((image.w + 2 * window.padding) * image.c) {
  // The image rows of a spatial tile take about 96 KB; there are at least four spatial tiles, so that threads can share
  // an image.
  const std::size_t fit = std::max<std::size_t>(96 * 1024 / (staged_columns_ * sizeof(float)), window_.reach());
  spatial_tile_rows_ = std::max<std::size_t>((fit - window_.reach()) / (window_.stride * stem_pool.stride), 1);
  spatial_tiles_ =
      std::max((y_.height + spatial_tile_rows_ - 1) / spatial_tile_rows_, std::min<std::size_t>(y_.height, 4));
  spatial_tiles_ = std::max<std::size_t>(spatial_tiles_, 1);
  spatial_tile_rows_ = (y_.height + spatial_tiles_ - 1) / spatial_tiles_;
}

template <class F>
work_range stem_operation<F>::conv_rows(work_range pooled) const {
  const std::size_t begin = pooled.begin * stem_pool.stride, end = (pooled.end - 1) * stem_pool.stride;
  return {begin - std::min(begin, stem_pool.padding),
          std::min(end + stem_pool.reach() - stem_pool.padding, conv_height_)};
}

template <class F>
std::size_t stem_operation<F>::staged_size() const {
  // A spatial tile reads at most so many rows of the convolution: three for its first pooled row, two for each other
  // one.
  return blocks_of(image_rows(spatial_tile_rows_ * stem_pool.stride + 1) * staged_columns_) * block;
}

template <class F>
std::size_t stem_operation<F>::scratch_bytes() const {
  return (staged_size() + stem_pool.size * row_size()) * sizeof(float);
}

template <class F>
void stem_operation<F>::run(const run_context& run) const noexcept {
  float* scratch = reinterpret_cast<float*>(run.scratch);
  row_buffers rows{scratch, scratch + staged_size(), image_.n, 0};
  run.work(image_.n * spatial_tiles_,
           [&](std::size_t item) { run_spatial_tile(run, item / spatial_tiles_, item % spatial_tiles_, rows); });
}

/// Computes rows of the convolution and pooled rows in turns. The convolution's row above the first own one belongs to
/// the spatial tile before; if this thread has just computed that one, the row is still in the ring.
template <class F>
void stem_operation<F>::run_spatial_tile(const run_context& run, std::size_t n, std::size_t spatial_tile,
                                         row_buffers& rows) const {
  const work_range pooled = pooled_rows(spatial_tile);
  work_range conv = conv_rows(pooled);
  const std::size_t first_own = pooled.begin * stem_pool.stride;
  if (rows.image == n && rows.end == first_own) conv.begin = first_own;
  stage_image_rows(rows.staged, run.image, n, conv);
  if (has_statistics_)
    std::fill_n(statistics_.at(run, n) + spatial_tile * y_.blocks * 2 * block, y_.blocks * 2 * block, 0.0);
  std::size_t row = conv.begin;
  for (std::size_t p = pooled.begin; p < pooled.end; ++p) {
    for (const std::size_t end = conv_rows({p, p + 1}).end; row < end; ++row) {
      float* to = ring_row(rows, row);
      convolve_row(to, rows.staged + (row - conv.begin) * window_.stride * staged_columns_);
      if (unpooled_.blocks > 0 && row >= first_own) keep_row(run, to, n, row);
    }
    pool_row(run, n, spatial_tile, p, rows);
  }
  rows.image = n;
  rows.end = row;
}

template <class F>
void stem_operation<F>::keep_row(const run_context& run, const float* from, std::size_t n, std::size_t row) const {
  const std::size_t size = conv_width_ * block;
  for (std::size_t b = 0; b < y_.blocks; ++b) {
    const std::size_t to = (b * conv_height_ + row) * size;
    if (kept_in_float_)
      std::copy_n(from + b * size, size, unpooled_.at<float>(run, n) + to);
    else
      microkernels_->narrow(unpooled_.at<map>(run, n) + to, from + b * size, conv_width_);
  }
}

/// Copies the image rows under the rows `conv` of the convolution, (w + 2·padding, c) each, with zeros around them.
template <class F>
void stem_operation<F>::stage_image_rows(float* to, const image_view<float>& image, std::size_t n,
                                         work_range conv) const {
  const std::size_t first = conv.begin * window_.stride, count = image_rows(conv.end - conv.begin);
  for (std::size_t r = 0; r < count; ++r, to += staged_columns_) {
    const std::size_t row = first + r;  // in the padded image
    std::fill_n(to, staged_columns_, 0.0f);
    if (row < window_.padding || row >= window_.padding + image_.h) continue;
    const float* x = image.data + static_cast<std::ptrdiff_t>(n) * image.stride_n +
                     static_cast<std::ptrdiff_t>(row - window_.padding) * image.stride_h;
    for (std::size_t c = 0; c < image_.c; ++c) {
      const float* from = x + static_cast<std::ptrdiff_t>(c) * image.stride_c;
      float* inside = to + window_.padding * image_.c + c;
      for (std::size_t w = 0; w < image_.w; ++w, from += image.stride_w, inside += image_.c) *inside = *from;
    }
  }
}

/// Computes one row of the convolution, [blocks][width][16]. `staged` is the first image row under it.
template <class F>
void stem_operation<F>::convolve_row(float* out, const float* staged) const {
  const std::size_t rows = microkernels_->tile_rows, tiles = (conv_width_ + rows - 1) / rows;
  stem_window window{nullptr,      window_.stride * image_.c, staged_columns_,
                     window_.size, window_.size * image_.c,   nullptr};
  for (std::size_t panel = 0; panel < kernel_->panels; ++panel) {
    const std::size_t first_block = panel * microkernels_->tile_columns / block;
    const std::size_t blocks = std::min(microkernels_->tile_columns / block, y_.blocks - first_block);
    window.weights = kernel_->panel<float>(panel);
    for (std::size_t t = 0; t < tiles; ++t) {
      const std::size_t begin = split_begin(conv_width_, tiles, t),
                        size = split_begin(conv_width_, tiles, t + 1) - begin;
      window.image = staged + begin * window.pixel;
      microkernels_->stem_tile[size - 1](out + (first_block * conv_width_ + begin) * block, conv_width_ * block, blocks,
                                         window);
    }
  }
}

template <class F>
void stem_operation<F>::pool_row(const run_context& run, std::size_t n, std::size_t spatial_tile, std::size_t row,
                                 const row_buffers& rows) const {
  const float* window[3];
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t r = row * stem_pool.stride + i;  // in the padded convolution
    window[i] = r >= stem_pool.padding && r < stem_pool.padding + conv_height_ ? ring_row(rows, r - stem_pool.padding)
                                                                               : nullptr;
  }
  for (std::size_t b = 0; b < y_.blocks; ++b) {
    map* out = y_.at<map>(run, n) + (b * y_.height + row) * y_.width * block;
    microkernels_->max_pool_row(out, y_.width, window, conv_width_);
    if (has_statistics_)
      microkernels_->accumulate_statistics(statistics_.at(run, n) + (spatial_tile * y_.blocks + b) * 2 * block, out,
                                           y_.width);
    for (const float*& r : window)
      if (r) r += conv_width_ * block;
  }
}

}  // namespace bit::inline BIT_ABI::detail
