// Gradient of a convolution's kernel in bfloat16 where an instruction multiplies pairs faster than floats, otherwise as
// kernel_adjoint.hpp computes it: what is summed goes in pairs, the same pixel of two images, which both sides are packed
// into (isa/pair_adjoint_table.hpp). A last odd image is paired with zeros.
#pragma once

#include <bit/backend/cpu/kernel_adjoint.hpp>

namespace bit::inline v0::detail {

/// The contraction of a kernel_adjoint_step, compiled for one shape: maps are of bfloat16, sums of float. `in.kernel` is
/// not used.
class pair_kernel_adjoint_operation {
 public:
  pair_kernel_adjoint_operation(const kernel_table<bfloat16>& kernels, const pair_adjoint_kernels& adjoints,
                                std::size_t images, conv_input in, map_place dy, kernel_gradient_place gradient);

  std::size_t scratch_bytes() const;
  void run(const training_context& run) const noexcept;

 private:
  /// Some rows of some pairs of images.
  struct chunk {
    work_range pairs, rows;
  };
  /// A thread's scratch.
  struct places {
    float *scale[2], *shift[2];  ///< of the two images of a pair
    bfloat16* row[2];            ///< a packed row of each
    bfloat16 *a, *b;             ///< the chunk's blocks of x; a panel of its dy
  };

  std::size_t pairs() const { return (images_ + 1) / 2; }
  std::size_t chunks() const { return pair_chunks_ * row_chunks_; }
  std::size_t panel_blocks() const { return kernels_->tile_columns / block; }
  chunk chunk_at(std::size_t i) const;
  places divide(std::byte* scratch) const;
  void pack_x(const training_context& run, const places& at, const chunk& c, work_range blocks) const;
  void pack_block(const training_context& run, const places& at, std::size_t pair, work_range rows, std::size_t b,
                  bfloat16* to) const;
  void pack_dy(const training_context& run, const places& at, const chunk& c, std::size_t panel) const;
  void multiply(const training_context& run, const places& at, const chunk& c, work_range blocks, std::size_t panel,
                bool add) const;

  const kernel_table<bfloat16>* kernels_;
  const pair_adjoint_kernels* adjoints_;
  std::size_t images_;
  conv_input in_;
  map_place dy_;
  kernel_gradient_place gradient_;
  kernel_gradient_items items_;
  std::size_t pair_chunks_, row_chunks_;
  std::size_t phase_columns_, row_pixels_;                 ///< of a packed row of x: of one phase, of all
  std::size_t pair_stride_, block_stride_, dy_pair_size_;  ///< numbers
};

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/pair_adjoint.ipp>
#endif
