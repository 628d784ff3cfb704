// SPDX-License-Identifier: Apache-2.0
// The root block: it reads the image in the caller's layout, applies the standardised 7x7 convolution of stride 2, the
// zero-padded 3x3 max-pool of stride 2, and sums the statistics. All of it is done row by row, so that the
// convolution's output never leaves the cache.
#pragma once

#include <bit/backend/cpu/context.hpp>

namespace bit::inline BIT_ABI::detail {

/// A stem_step compiled for one shape, in dtype F. The convolution is computed in float whatever F is,
/// because pixels have 8 significant bits, which bfloat16 keeps only around zero, and because it is only 3 % of the
/// work.
template <class F>
class stem_operation {
 public:
  using map = feature_map_of<F>;

  /// `y` is the pooled map. `unpooled` receives the convolution's output if it has blocks.
  stem_operation(const microkernel_table<F>& microkernels, const packed_weights& kernel, bit::window window,
                 dims4 image, feature_map_ref y, feature_map_ref unpooled);

  /// Makes `unpooled` a map of floats, because the backward pass of the pool compares its pixels.
  void keep_float() { kept_in_float_ = true; }
  void add_statistics(statistics_ref place) { statistics_ = place, has_statistics_ = true; }
  /// The number of spatial tiles (ranges of pooled rows) that an image is cut into. It depends on the shape alone.
  std::size_t spatial_tiles() const { return spatial_tiles_; }
  /// The scratch bytes that each thread needs.
  std::size_t scratch_bytes() const;
  std::size_t weight_bytes() const { return kernel_->data.size(); }
  std::size_t max_items() const { return image_.n * spatial_tiles_; }
  void run(const run_context& run) const noexcept;

 private:
  /// One thread's scratch. `staged` holds image rows with zeros around them. `ring` holds the last three rows of the
  /// convolution's output, row r at slot r % 3: as many as a window of the pool covers. `image` says which image they
  /// belong to, `end` is the row after the last.
  struct row_buffers {
    float *staged, *ring;
    std::size_t image, end;
  };

  work_range pooled_rows(std::size_t spatial_tile) const {
    return {split_begin(y_.height, spatial_tiles_, spatial_tile),
            split_begin(y_.height, spatial_tiles_, spatial_tile + 1)};
  }
  /// The rows of the convolution's output that are under the pool's windows for these pooled rows.
  work_range conv_rows(work_range pooled) const;
  std::size_t image_rows(std::size_t conv_rows) const { return (conv_rows - 1) * window_.stride + window_.reach(); }
  std::size_t staged_size() const;
  std::size_t row_size() const { return y_.blocks * conv_width_ * block; }
  float* ring_row(const row_buffers& rows, std::size_t row) const {
    return rows.ring + row % stem_pool.size * row_size();
  }
  void run_spatial_tile(const run_context& run, std::size_t n, std::size_t spatial_tile, row_buffers& rows) const;
  void keep_row(const run_context& run, const float* from, std::size_t n, std::size_t row) const;
  void stage_image_rows(float* to, const image_view<float>& image, std::size_t n, work_range conv) const;
  void convolve_row(float* out, const float* staged) const;
  void pool_row(const run_context& run, std::size_t n, std::size_t spatial_tile, std::size_t row,
                const row_buffers& rows) const;

  const microkernel_table<F>* microkernels_;
  const packed_weights* kernel_;
  bit::window window_;
  dims4 image_;
  feature_map_ref y_, unpooled_;
  statistics_ref statistics_;
  bool has_statistics_ = false, kept_in_float_ = false;
  std::size_t conv_height_, conv_width_, staged_columns_;
  std::size_t spatial_tiles_, spatial_tile_rows_;
};

#if !BIT_HEADER_ONLY
extern template class stem_operation<float>;
extern template class stem_operation<bfloat16>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/stem.ipp>
#endif
