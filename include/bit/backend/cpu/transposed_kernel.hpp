// SPDX-License-Identifier: Apache-2.0
// Kernels for backward-data passes, made in the arena from the stored values of parameters that are not kept in memory:
// read (or found in place), measured, standardised and packed transposed, one kernel at a time.
#pragma once

#include <bit/backend/cpu/training_context.hpp>
#include <bit/program/parameter.hpp>
#include <cstdint>
#include <optional>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// Values that a thread reads at a time: 256 KB, which the checksum then finds in L2.
inline constexpr std::size_t read_part_values = std::size_t{64} << 10;

/// Where a tensor's float32 values lie during a run: in memory or a mapped file, or at `copy` of the arena.
struct values_ref {
  const float* in_place = nullptr;
  array_ref copy;

  const float* get(const run_context& run) const { return in_place ? in_place : copy.at<float>(run); }
};

/// Copies a tensor's values into the arena: in parts where the file can be read so, an item for each, otherwise as one
/// item. An exception ends the run, see run_context::failure.
struct read_values_operation {
  const tensor_data* data;
  std::size_t size;
  array_ref to;
  array_ref checksums;  ///< of the parts; unused if there are none

  bool in_parts() const { return data->has_parts(); }
  std::size_t max_items() const { return in_parts() ? (size + read_part_values - 1) / read_part_values : 1; }
  void run(const training_context& run) const noexcept {
    run.work(max_items(), [&](std::size_t part) {
      run.failure->guard([&] {
        const std::span<float> all(to.at<float>(run), size);
        if (!in_parts()) {
          data->read(all);
          return data->release();
        }
        const std::size_t first = part * read_part_values;
        checksums.at<std::uint32_t>(run)[part] =
            data->read_part(first, all.subspan(first, std::min(read_part_values, size - first)));
      });
    });
  }
};

/// Mean and 1/sqrt(variance + eps) of a kernel's output channels, [2][padded()] doubles; 0 and 1 where eps is 0. An item
/// is a panel; the last one verifies the checksums of what has been read.
template <class T>
struct measure_kernel_operation {
  const microkernel_table<float>* microkernels;  ///< as wide as T's
  values_ref values;
  std::size_t rows, columns;  ///< the kernel as a matrix: (h·w·i, o)
  double eps;
  array_ref to;
  std::optional<read_values_operation> read = {};  ///< what made the copy of the values

  std::size_t panels() const { return (columns + microkernels->tile_columns - 1) / microkernels->tile_columns; }
  std::size_t padded() const { return panels() * microkernels->tile_columns; }
  std::size_t max_items() const { return panels() + 1; }
  void run(const training_context& run) const noexcept;

 private:
  void verify(const training_context& run) const noexcept;
};

/// How a kernel HWIO becomes one that takes gradients back: turned by 180 degrees, k over taps and output channels,
/// columns are input channels. `how` and the sizes are those of the packed kernel.
struct transposed_layout {
  packing how;
  weight_layout layout = weight_layout::direct;
  std::size_t panel_size = 0, panels = 0;  ///< numbers of a panel; how many panels
};

/// The layout of a kernel (h,w,i,o) for microkernels with panels of `tile_columns` columns.
BIT_FUNC transposed_layout transposed_layout_of(const std::vector<std::size_t>& shape, double eps, weight_layout layout,
                                                std::size_t tile_columns);

/// Writes panel `panel` of the transposed, standardised taps, [taps][padded rows][tile_columns], from the kernel's values
/// HWIO and the means and scales of its output channels.
BIT_FUNC void pack_transposed_taps(float* to, const float* values, const packing& how, std::size_t panel,
                                   std::size_t tile_columns, const double* mean, const double* scale);

/// Packs a kernel transposed, panel by panel, of what measure_kernel_operation has written.
template <class T>
struct pack_transposed_operation {
  const microkernel_table<T>* microkernels;
  transposed_layout layout;
  values_ref values;
  array_ref standardisation;  ///< measure_kernel_operation::to
  std::size_t padded;         ///< measure_kernel_operation::padded()
  array_ref to;

  std::size_t max_items() const { return layout.panels; }
  std::size_t scratch_bytes() const {
    return layout.how.taps * layout.how.padded_rows_per_tap * microkernels->tile_columns * sizeof(float);
  }
  void run(const training_context& run) const noexcept;
};

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/transposed_kernel.ipp>
#endif
