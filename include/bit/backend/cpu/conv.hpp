// Convolution of relu(norm(x)): packs a chunk of pixels (1x1) or of zero-padded rows (k x k) with norm and ReLU applied,
// then runs the register tile over it, panel by panel of output channels. A packed chunk stays in L2 beside one panel of
// weights; nothing like a whole-image im2col exists.
#pragma once

#include <bit/backend/cpu/context.hpp>
#include <vector>

namespace bit::inline v0::detail {

/// Bytes of a packed chunk. L2 of the machines that count is 1 MiB or more; 384 KB of pixels beside 256 KB of weights
/// measured best.
inline constexpr std::size_t chunk_bytes = 384 * 1024;

/// A conv_source with its operands found.
struct conv_input {
  map_place x;
  norm_place norm;
  const packed_constant* kernel = nullptr;
  bit::window window;
};

/// A conv_step compiled for one shape; maps and products are of type T.
template <class T>
class conv_operation {
 public:
  conv_operation(const kernel_table<T>& kernels, std::size_t images, map_place y, conv_input main);

  void add_projection(conv_input projection);
  void add_residual(map_place residual) { residual_ = residual, has_residual_ = true; }
  void add_statistics(statistics_place place) { statistics_ = place, has_statistics_ = true; }

  /// Pieces that an image's pixels are cut into: a function of the shape alone.
  std::size_t chunks() const { return chunks_; }
  std::size_t scratch_bytes() const;
  /// Of the kernels.
  std::size_t weight_bytes() const;
  /// What `thread` of `threads` reads first.
  memory_range first_read(std::size_t thread, std::size_t threads) const;
  void run(const run_context& run) const noexcept;

 private:
  struct source {
    conv_input in;
    std::size_t phase_columns;  ///< columns of one phase of a packed row (k x k)
    std::size_t packed_rows;    ///< rows of a packed chunk, or 1
    std::size_t block_stride;   ///< elements between packed blocks of channels
    std::size_t image_stride;   ///< elements between the packed chunks of two images
  };
  /// How the work is shared: an item is one chunk of `images` neighbouring images times one group of panels.
  struct split {
    std::size_t images, batches, groups;
  };
  struct item {
    work_range images, panels;
    std::size_t chunk;
  };
  /// A thread's scratch, per source.
  struct places {
    float *scale[2], *shift[2];
    T* packed[2];
  };

  bool by_rows() const { return sources_.front().in.window.size > 1; }
  std::size_t units() const { return by_rows() ? y_.height : y_.pixels(); }
  std::size_t panels() const { return sources_.front().in.kernel->panels; }
  work_range units_of(std::size_t chunk) const {
    return {cut(units(), chunks_, chunk), cut(units(), chunks_, chunk + 1)};
  }
  source make_source(const conv_input& in) const;
  void cut_into_chunks();
  split split_for(std::size_t threads) const;
  item item_at(const split& s, std::size_t i) const;
  places places_in(std::byte* scratch) const;
  void pack(const run_context& run, const item& what, const places& at) const;
  void pack_pixels(const source& s, T* to, const T* x, const float* scale, const float* shift, work_range pixels) const;
  void pack_rows(const source& s, T* to, const T* x, const float* scale, const float* shift, work_range rows) const;
  void multiply(const run_context& run, const item& what, const places& at, memory_range next) const;
  void multiply_panel(const run_context& run, const item& what, const places& at, std::size_t panel,
                      prefetcher& ahead) const;
  memory_range panel_memory(std::size_t panel) const;

  const kernel_table<T>* kernels_;
  std::size_t images_;
  map_place y_, residual_;
  statistics_place statistics_;
  bool has_residual_ = false, has_statistics_ = false;
  std::vector<source> sources_;
  std::size_t chunks_ = 1, chunk_units_ = 1, images_per_item_ = 1;
};

#if !BIT_HEADER_ONLY
extern template class conv_operation<float>;
extern template class conv_operation<bfloat16>;
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/conv.ipp>
#endif
