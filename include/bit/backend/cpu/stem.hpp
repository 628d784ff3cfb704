// Root block: the image in the caller's layout -> 7x7/2 standardised convolution -> zero-padded 3x3/2 max-pool ->
// statistics, a few rows at a time, so that the convolution's output never leaves the cache.
#pragma once

#include <bit/backend/cpu/context.hpp>

namespace bit::inline v0::detail {

/// A stem_step compiled for one shape. The convolution is in float whatever T is: pixels have 8 significant bits, which
/// bfloat16 keeps only around zero, and it is 3 % of the work. Maps are of type T.
template <class T>
class stem_operation {
 public:
  /// `y` is the pooled map; `unpooled` the convolution's output, kept only if it has blocks.
  stem_operation(const kernel_table<T>& kernels, const packed_constant& kernel, bit::window window, dims4 image,
                 map_place y, map_place unpooled);

  /// Keeps the convolution's output in float: what the pool's adjoint compares.
  void keep_float() { kept_in_float_ = true; }
  void add_statistics(statistics_place place) { statistics_ = place, has_statistics_ = true; }
  std::size_t chunks() const { return chunks_; }
  std::size_t scratch_bytes() const;
  std::size_t weight_bytes() const { return kernel_->data.size(); }
  void run(const run_context& run) const noexcept;

 private:
  /// Rows of each stage that one chunk of pooled rows needs.
  struct extent {
    work_range pooled, conv;
    std::size_t image_rows;
  };
  /// A thread's scratch, in floats and as addresses.
  struct scratch_sizes {
    std::size_t staged, conv_rows;
  };
  struct scratch_places {
    float *image_rows, *conv_rows;
  };

  extent extent_of(work_range pooled) const;
  scratch_sizes sizes() const;
  scratch_places places(std::byte* scratch) const;
  void keep_row(const run_context& run, const float* from, std::size_t n, std::size_t row) const;
  void stage_image_rows(float* to, const image_view<float>& image, std::size_t n, const extent& e) const;
  void convolve_row(float* out, const float* staged, std::size_t row_in_chunk) const;
  void pool(const run_context& run, std::size_t n, std::size_t chunk, const extent& e, const float* conv_rows) const;

  const kernel_table<T>* kernels_;
  const packed_constant* kernel_;
  bit::window window_;
  dims4 image_;
  map_place y_, unpooled_;
  statistics_place statistics_;
  bool has_statistics_ = false, kept_in_float_ = false;
  std::size_t conv_height_, conv_width_, staged_columns_;
  std::size_t chunks_, chunk_rows_;
};

#if !BIT_HEADER_ONLY
extern template class stem_operation<float>;
extern template class stem_operation<bfloat16>;
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/stem.ipp>
#endif
