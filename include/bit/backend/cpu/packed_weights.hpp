// SPDX-License-Identifier: Apache-2.0
// The packed weights of a frozen model: its parameters, standardised and laid out in the order in which the
// microkernels read them, and shared by all plans of the model.
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

namespace bit::inline BIT_ABI::detail {

/// The number of blocks of 16 channels that hold `channels` channels.
constexpr std::size_t blocks_of(std::size_t channels) { return (channels + block - 1) / block; }

/// A packed parameter. A kernel is cut into panels of tile_columns output channels, [panel][K][tile_columns]; K runs
/// over taps, then over input channels padded to blocks of 16, in the order of segment::b. In a Winograd layout the t·t
/// matrices take the place of the taps. The stem's kernel is in float, and its K runs over all of (h,w,i) without
/// padding. A vector (c) is in float, one row of it per panel.
struct packed_weights {
  aligned_buffer<std::byte> data;
  std::size_t panel_size = 0;  ///< numbers in a panel
  std::size_t panels = 0;      ///< number of panels

  /// The first number of panel i. T must be the type that the parameter was packed as.
  template <class T>
  const T* panel(std::size_t i) const {
    return reinterpret_cast<const T*>(data.data()) + i * panel_size;
  }
};

/// How a stored kernel (rows, cout) is packed: its rows, taps · input channels, become `taps` times
/// `padded_rows_per_tap` rows of `columns` output channels.
struct packing {
  std::size_t taps, rows_per_tap, padded_rows_per_tap;
  std::size_t columns;
  double eps;  ///< the eps of weight standardisation; 0: the values are packed as they are
};

/// A kernel, and the layout in which a plan wants it.
struct wanted_layout {
  const named_tensor* tensor;
  weight_layout layout;
};

/// The packed weights of one model. Kernels are packed as weight_of<F>. Any number of threads may call every member at
/// once.
///
/// Most kernels have one layout and are packed by the constructor. A 3x3 kernel of stride 1 has several
/// (weight_layout), and which of them is needed depends on the shape that a plan is made for. Such a kernel is stored
/// only in the layouts that existing plans use; the plans own them together, and a layout is freed with its last plan.
/// Until the first plan needs it, the kernel is kept in one of two ways. If its values lie in memory, or can be read
/// from the file in parts, nothing is stored: the constructor verifies the file's checksums, and the values are read
/// again when they are packed. Otherwise (a deflated entry, for instance, which would have to be inflated twice) the
/// standardised kernel is stored in float.
template <class F>
class cpu_weights {
 public:
  /// Reads, standardises and packs every parameter of `p` with all threads, a few tensors at a time (read_weights.hpp).
  /// Throws format_error or io_error if a tensor cannot be read.
  cpu_weights(const program& p, const microkernel_table<F>& microkernels, const freeze_options& options = {});

  const microkernel_table<F>& microkernels() const { return *microkernels_; }
  const freeze_options& options() const { return options_; }
  /// Returns the wanted kernels in the wanted layouts; the caller keeps them alive. Layouts that no plan holds are
  /// packed now, reading each tensor once. Throws config_error for a tensor that this model does not have, and
  /// format_error or io_error if a tensor cannot be read.
  std::vector<std::shared_ptr<const packed_weights>> prepare(std::span<const wanted_layout> wanted) const;
  /// The same for one parameter.
  std::shared_ptr<const packed_weights> at(const named_tensor& tensor,
                                           weight_layout layout = weight_layout::direct) const;
  /// The bytes of all packed weights, held here or by plans.
  std::size_t bytes() const;
  /// The predicted seconds of one run of a program of the same model; see program_cost.hpp.
  double predicted_seconds(const program& p) const { return detail::predicted_seconds(p, options_, microkernels()); }

 private:
  template <class>
  friend struct weight_packer;
  struct entry {
    packing how;
    bool several_layouts = false;
    std::shared_ptr<const packed_weights> held;  ///< the only layout; or the kernel in float until a plan asks; or null
    std::array<std::weak_ptr<const packed_weights>, 3> layouts;  ///< of a kernel with several; plans own them
  };

  const microkernel_table<F>* microkernels_;
  freeze_options options_;
  mutable std::mutex mutex_;  ///< guards the entries of kernels with several layouts
  mutable std::unordered_map<std::string, entry> entries_;
};

#if !BIT_HEADER_ONLY
extern template class cpu_weights<float>;
extern template class cpu_weights<bfloat16>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/packed_weights.ipp>
#endif
