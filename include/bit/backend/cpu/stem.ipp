// Bodies of backend/cpu/stem.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/stem.hpp>
#include <cstring>

namespace bit::inline v0::detail {

template <class T>
stem_operation<T>::stem_operation(const kernel_table<T>& kernels, const packed_constant& kernel, bit::window window,
                                  dims4 image, map_place y, map_place unpooled)
    : kernels_(&kernels),
      kernel_(&kernel),
      window_(window),
      image_(image),
      y_(y),
      unpooled_(unpooled),
      conv_height_(window.out(image.h)),
      conv_width_(window.out(image.w)),
      staged_columns_((image.w + 2 * window.padding) * image.c) {
  // Convolution rows of a chunk in about 384 KB, as in conv.hpp; at least four chunks so that threads share an image.
  const std::size_t row_bytes = y_.blocks * conv_width_ * block * sizeof(float);
  const std::size_t fit = std::max<std::size_t>(384 * 1024 / row_bytes, 3);
  chunk_rows_ = std::max<std::size_t>((fit - 1) / stem_pool.stride, 1);
  chunks_ = std::max((y_.height + chunk_rows_ - 1) / chunk_rows_, std::min<std::size_t>(y_.height, 4));
  chunks_ = std::max<std::size_t>(chunks_, 1);
  chunk_rows_ = (y_.height + chunks_ - 1) / chunks_;
}

template <class T>
typename stem_operation<T>::extent stem_operation<T>::extent_of(work_range pooled) const {
  extent e{pooled, {}, 0};
  e.conv.begin = pooled.begin * stem_pool.stride - (pooled.begin > 0 ? stem_pool.padding : 0);
  e.conv.end = std::min((pooled.end - 1) * stem_pool.stride + stem_pool.reach() - stem_pool.padding, conv_height_);
  e.image_rows = (e.conv.end - e.conv.begin - 1) * window_.stride + window_.reach();
  return e;
}

template <class T>
typename stem_operation<T>::scratch_sizes stem_operation<T>::sizes() const {
  // A chunk touches at most this many convolution rows: three for the first pooled row, two for each further one.
  const std::size_t conv_rows = chunk_rows_ * stem_pool.stride + 1;
  const std::size_t image_rows = (conv_rows - 1) * window_.stride + window_.reach();
  return {blocks_of(image_rows * staged_columns_) * block, conv_rows * y_.blocks * conv_width_ * block};
}

template <class T>
typename stem_operation<T>::scratch_places stem_operation<T>::places(std::byte* scratch) const {
  const scratch_sizes size = sizes();
  float* staged = reinterpret_cast<float*>(scratch);
  return {staged, staged + size.staged};
}

template <class T>
std::size_t stem_operation<T>::scratch_bytes() const {
  const scratch_sizes size = sizes();
  return (size.staged + size.conv_rows) * sizeof(float);
}

template <class T>
void stem_operation<T>::run(const run_context& run) const noexcept {
  const scratch_places scratch = places(run.scratch);
  const std::size_t row_size = y_.blocks * conv_width_ * block;
  run.work(image_.n * chunks_, [&](std::size_t item) {
    const std::size_t n = item / chunks_, chunk = item % chunks_;
    const extent e = extent_of({cut(y_.height, chunks_, chunk), cut(y_.height, chunks_, chunk + 1)});
    stage_image_rows(scratch.image_rows, run.image, n, e);
    for (std::size_t r = e.conv.begin; r < e.conv.end; ++r) {
      float* row = scratch.conv_rows + (r - e.conv.begin) * row_size;
      convolve_row(row, scratch.image_rows, r - e.conv.begin);
      // The row above the first pooled row belongs to the chunk before.
      if (unpooled_.blocks > 0 && r >= e.pooled.begin * stem_pool.stride) keep_row(run, row, n, r);
    }
    pool(run, n, chunk, e, scratch.conv_rows);
  });
}

template <class T>
void stem_operation<T>::keep_row(const run_context& run, const float* from, std::size_t n, std::size_t row) const {
  const std::size_t size = conv_width_ * block;
  for (std::size_t b = 0; b < y_.blocks; ++b) {
    const std::size_t to = (b * conv_height_ + row) * size;
    if (kept_in_float_)
      std::copy_n(from + b * size, size, unpooled_.at<float>(run, n) + to);
    else
      kernels_->narrow(unpooled_.at<T>(run, n) + to, from + b * size, conv_width_);
  }
}

/// Rows (w + 2·padding, c) of the image, zeros around it.
template <class T>
void stem_operation<T>::stage_image_rows(float* to, const image_view<float>& image, std::size_t n,
                                         const extent& e) const {
  for (std::size_t r = 0; r < e.image_rows; ++r, to += staged_columns_) {
    const std::size_t row = e.conv.begin * window_.stride + r;  // in the padded image
    std::fill_n(to, staged_columns_, 0.0f);
    if (row < window_.padding || row >= window_.padding + image_.h) continue;
    const float* x = image.data + static_cast<std::ptrdiff_t>(n) * image.stride_n +
                     static_cast<std::ptrdiff_t>(row - window_.padding) * image.stride_h;
    float* inside = to + window_.padding * image_.c;
    for (std::size_t c = 0; c < image_.c; ++c)
      for (std::size_t w = 0; w < image_.w; ++w)
        inside[w * image_.c + c] =
            x[static_cast<std::ptrdiff_t>(c) * image.stride_c + static_cast<std::ptrdiff_t>(w) * image.stride_w];
  }
}

/// One row of the convolution, [blocks][width][16].
template <class T>
void stem_operation<T>::convolve_row(float* out, const float* staged, std::size_t row_in_chunk) const {
  const std::size_t rows = kernels_->tile_rows, tiles = (conv_width_ + rows - 1) / rows;
  stem_window window{nullptr,      window_.stride * image_.c, staged_columns_,
                     window_.size, window_.size * image_.c,   nullptr};
  for (std::size_t panel = 0; panel < kernel_->panels; ++panel) {
    const std::size_t first_block = panel * kernels_->tile_columns / block;
    const std::size_t blocks = std::min(kernels_->tile_columns / block, y_.blocks - first_block);
    window.weights = kernel_->panel<float>(panel);
    for (std::size_t t = 0; t < tiles; ++t) {
      const std::size_t begin = cut(conv_width_, tiles, t), size = cut(conv_width_, tiles, t + 1) - begin;
      window.image = staged + row_in_chunk * window_.stride * staged_columns_ + begin * window.pixel;
      kernels_->stem_tile[size - 1](out + (first_block * conv_width_ + begin) * block, conv_width_ * block, blocks,
                                    window);
    }
  }
}

template <class T>
void stem_operation<T>::pool(const run_context& run, std::size_t n, std::size_t chunk, const extent& e,
                             const float* conv_rows) const {
  const std::size_t row_size = y_.blocks * conv_width_ * block;
  for (std::size_t b = 0; b < y_.blocks; ++b) {
    double* statistics = nullptr;
    if (has_statistics_) {
      statistics = statistics_.at(run, n) + (chunk * y_.blocks + b) * 2 * block;
      std::fill_n(statistics, 2 * block, 0.0);
    }
    for (std::size_t r = e.pooled.begin; r < e.pooled.end; ++r) {
      const float* rows[3];
      for (std::size_t i = 0; i < 3; ++i) {
        const std::size_t row = r * stem_pool.stride + i;  // one more than the row of the convolution
        rows[i] = row >= 1 && row <= conv_height_
                      ? conv_rows + (row - 1 - e.conv.begin) * row_size + b * conv_width_ * block
                      : nullptr;
      }
      T* out = y_.at<T>(run, n) + (b * y_.height + r) * y_.width * block;
      kernels_->max_pool_row(out, y_.width, rows, conv_width_);
      if (statistics) kernels_->accumulate_statistics(statistics, out, y_.width);
    }
  }
}

}  // namespace bit::inline v0::detail
