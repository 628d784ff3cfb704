// Root block: the image in the caller's layout -> 7x7/2 standardised convolution -> zero-padded 3x3/2 max-pool ->
// statistics, row by row, so that the convolution's output never leaves the cache.
#pragma once

#include <bit/backend/cpu/context.hpp>

namespace bit::inline v0::detail {

/// A stem_step compiled for one shape. The convolution is in float whatever T is: pixels have 8 significant bits, which
/// bfloat16 keeps only around zero, and it is 3 % of the work. Maps are of type T.
template <class T>
class stem_operation {
 public:
  /// `y` is the pooled map; `unpooled` the convolution's output, kept only if it has blocks.
  stem_operation(const microkernel_table<T>& microkernels, const packed_weights& kernel, bit::window window,
                 dims4 image, feature_map_ref y, feature_map_ref unpooled);

  /// Keeps the convolution's output in float: what the pool's adjoint compares.
  void keep_float() { kept_in_float_ = true; }
  void add_statistics(statistics_ref place) { statistics_ = place, has_statistics_ = true; }
  std::size_t spatial_tiles() const { return spatial_tiles_; }
  std::size_t scratch_bytes() const;
  std::size_t weight_bytes() const { return kernel_->data.size(); }
  std::size_t max_items() const { return image_.n * spatial_tiles_; }
  void run(const run_context& run) const noexcept;

 private:
  /// A thread's scratch: image rows with zeros around them, and the rows of the convolution that a window of the pool
  /// covers, row r at r modulo their number. `image` and `end`: whose rows they are, and the one after the last.
  struct row_buffers {
    float *staged, *ring;
    std::size_t image, end;
  };

  work_range pooled_rows(std::size_t spatial_tile) const {
    return {split_begin(y_.height, spatial_tiles_, spatial_tile),
            split_begin(y_.height, spatial_tiles_, spatial_tile + 1)};
  }
  /// Rows of the convolution under the pool's windows.
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

  const microkernel_table<T>* microkernels_;
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

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/stem.ipp>
#endif
