// Parameters as the CPU kernels want them: standardised, packed into panels, shared by every plan of a frozen model.
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <bit/backend/cpu/program_cost.hpp>
#include <bit/backend/freeze_options.hpp>
#include <bit/detail/aligned_buffer.hpp>
#include <bit/program/program.hpp>
#include <string>
#include <unordered_map>

namespace bit::inline v0::detail {

/// Blocks of 16 that hold `channels`.
constexpr std::size_t blocks_of(std::size_t channels) { return (channels + block - 1) / block; }

/// A kernel (k,cout) in panels of tile_columns output channels, [panel][k][tile_columns]; or a vector (c) in one row.
/// k runs over taps, then over input channels padded to blocks of 16, in the order of segment::b (the stem: over all of
/// (h,w,i), always in float, as vectors are).
struct packed_constant {
  aligned_buffer<std::byte> data;
  std::size_t panel_size = 0;  ///< numbers of a panel
  std::size_t panels = 0;

  /// Panel i; T is what it was packed as.
  template <class T>
  const T* panel(std::size_t i) const {
    return reinterpret_cast<const T*>(data.data()) + i * panel_size;
  }
};

/// Kernels are packed as T. Immutable after construction; any number of threads may read it.
template <class T>
class cpu_constants {
 public:
  /// Reads, standardises and packs every constant of `p` with all threads, one tensor after the other, and lets go of
  /// each tensor's pages at once: beside the packed copy at most one tensor is in memory.
  /// Throws what reading a tensor throws.
  cpu_constants(const program& p, const isa_kernels& isa, const freeze_options& options = {});

  const isa_kernels& isa() const { return *isa_; }
  const kernel_table<T>& kernels() const { return isa_->of<T>(); }
  const freeze_options& options() const { return options_; }
  /// The packed form of a constant of a program of the same model; throws config_error if there is none.
  const packed_constant& at(const named_tensor& tensor) const;
  /// Bytes held.
  std::size_t bytes() const;
  /// Of one run of a program of the same model; see program_cost.hpp.
  double predicted_seconds(const program& p) const { return detail::predicted_seconds(p, sizeof(T)); }

 private:
  const isa_kernels* isa_;
  freeze_options options_;
  std::unordered_map<std::string, packed_constant> packed_;
};

#if !BIT_HEADER_ONLY
extern template class cpu_constants<float>;
extern template class cpu_constants<bfloat16>;
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/constants.ipp>
#endif
