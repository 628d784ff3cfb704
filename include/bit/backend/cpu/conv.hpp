// Convolution of relu(norm(x)): packs a chunk of pixels (1x1) or of zero-padded rows (k x k) with norm and ReLU applied,
// then runs the register tile over it, panel by panel of output channels. One chunk is at most `chunk_bytes`: it stays
// in L2 beside one panel of weights; nothing like a whole-image im2col exists.
#pragma once

#include <bit/backend/cpu/context.hpp>
#include <vector>

namespace bit::inline v0::detail {

/// L2 of the machines that count is 1 MiB or more; 384 KB of pixels beside 256 KB of weights measured best.
inline constexpr std::size_t chunk_bytes = 384 * 1024;

/// A conv_source with its operands found.
struct conv_input {
  map_place x;
  norm_place norm;
  const packed_constant* kernel = nullptr;
  bit::window window;
};

/// A conv_step compiled for one shape.
class conv_operation {
 public:
  conv_operation(const kernel_table& kernels, std::size_t images, map_place y, conv_input main);

  void add_projection(conv_input projection);
  void add_residual(map_place residual) { residual_ = residual, has_residual_ = true; }
  void add_statistics(statistics_place place) { statistics_ = place, has_statistics_ = true; }

  /// Pieces that an image's pixels are cut into: a function of the shape alone.
  std::size_t chunks() const { return chunks_; }
  std::size_t scratch_bytes() const;
  /// Of the kernels.
  std::size_t weight_bytes() const;
  void run(const run_context& run) const noexcept;

 private:
  struct source {
    conv_input in;
    std::size_t phase_columns;  ///< columns of one phase of a packed row (k x k)
    std::size_t packed_rows;    ///< rows of a packed chunk, or 1
    std::size_t block_stride;   ///< floats between packed blocks of channels
  };

  bool by_rows() const { return sources_.front().in.window.size > 1; }
  std::size_t units() const { return by_rows() ? y_.height : y_.pixels(); }
  source make_source(const conv_input& in) const;
  void cut_into_chunks();
  void pack_pixels(const source& s, float* to, const float* x, const float* scale, const float* shift,
                   work_range pixels) const;
  void pack_rows(const source& s, float* to, const float* x, const float* scale, const float* shift,
                 work_range rows) const;
  void multiply(const run_context& run, std::size_t n, std::size_t chunk, work_range panels,
                const float* const packed[2]) const;

  const kernel_table* kernels_;
  std::size_t images_;
  map_place y_, residual_;
  statistics_place statistics_;
  bool has_residual_ = false, has_statistics_ = false;
  std::vector<source> sources_;
  std::size_t chunks_ = 1, chunk_units_ = 1;
};

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/conv.ipp>
#endif
