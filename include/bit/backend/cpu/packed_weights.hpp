// Parameters as the CPU kernels want them: standardised, packed into panels, shared by every plan of a frozen model.
#pragma once

#include <array>
#include <bit/backend/cpu/cost.hpp>
#include <bit/backend/cpu/isa/table.hpp>
#include <bit/backend/cpu/program_cost.hpp>
#include <bit/backend/freeze_options.hpp>
#include <bit/detail/aligned_buffer.hpp>
#include <bit/program/program.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace bit::inline v0::detail {

/// Blocks of 16 that hold `channels`.
constexpr std::size_t blocks_of(std::size_t channels) { return (channels + block - 1) / block; }

/// A kernel (k,cout) in panels of tile_columns output channels, [panel][k][tile_columns]; or a vector (c) in one row.
/// k runs over taps, then over input channels padded to blocks of 16, in the order of segment::b (the stem: over all of
/// (h,w,i), always in float, as vectors are). In a Winograd form the t·t products take the place of the taps.
struct packed_weights {
  aligned_buffer<std::byte> data;
  std::size_t panel_size = 0;  ///< numbers of a panel
  std::size_t panels = 0;

  /// Panel i; T is what it was packed as.
  template <class T>
  const T* panel(std::size_t i) const {
    return reinterpret_cast<const T*>(data.data()) + i * panel_size;
  }
};

/// How rows of the stored kernel (rows, cout) become rows of the packed one.
struct packing {
  std::size_t taps, rows_per_tap, padded_rows_per_tap;
  std::size_t columns;
  double eps;  ///< of weight standardisation; 0: pack the values as they are
};

/// A kernel and the form that a plan reads.
struct wanted_layout {
  const named_tensor* tensor;
  weight_layout layout;
};

/// Kernels are packed as T. Any number of threads may use it.
///
/// Kernels that have several forms are stored only in the forms that living plans need: the plans own them together.
/// Until the first plan asks, such a kernel waits, verified, in its file if its values can be read there part by part or
/// lie in memory, and standardised, in float, if not.
template <class T>
class cpu_weights {
 public:
  /// Reads, standardises and packs every constant of `p` with all threads, a few tensors at a time (read_weights.hpp).
  /// Throws what reading a tensor throws.
  cpu_weights(const program& p, const microkernel_table<T>& microkernels, const freeze_options& options = {});

  const microkernel_table<T>& microkernels() const { return *microkernels_; }
  const freeze_options& options() const { return options_; }
  /// Packed constants of a program of the same model, kept alive by the caller; throws config_error if there is none of
  /// that name. Forms that nobody holds are packed now, all in one reading of the tensors, which throws what that throws.
  std::vector<std::shared_ptr<const packed_weights>> prepare(std::span<const wanted_layout> wanted) const;
  /// One of them.
  std::shared_ptr<const packed_weights> at(const named_tensor& tensor,
                                           weight_layout layout = weight_layout::direct) const;
  /// Bytes held, by this and by plans.
  std::size_t bytes() const;
  /// Of one run of a program of the same model; see program_cost.hpp.
  double predicted_seconds(const program& p) const { return detail::predicted_seconds(p, options_, microkernels()); }

 private:
  template <class>
  friend struct weight_packer;
  struct entry {
    packing how;
    bool several_layouts = false;
    std::shared_ptr<const packed_weights> held;  ///< the only form; or what waits for the first plan; or null
    std::array<std::weak_ptr<const packed_weights>, 3> layouts;  ///< of a kernel with several, owned by plans
  };

  const microkernel_table<T>* microkernels_;
  freeze_options options_;
  mutable std::mutex mutex_;  ///< guards the entries of kernels with several forms
  mutable std::unordered_map<std::string, entry> entries_;
};

#if !BIT_HEADER_ONLY
extern template class cpu_weights<float>;
extern template class cpu_weights<bfloat16>;
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/packed_weights.ipp>
#endif
