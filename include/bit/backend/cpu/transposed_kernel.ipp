// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/transposed_kernel.hpp.
#pragma once

#include <bit/backend/cpu/packed_weights.ipp>
#include <bit/backend/cpu/transposed_kernel.hpp>

namespace bit::inline BIT_ABI::detail {

template <class T>
void measure_kernel_operation<T>::run(const training_context& run) const noexcept {
  const std::size_t width = microkernels->tile_columns;
  double *mean = to.at<double>(run), *scale = mean + padded();
  run.work(max_items(), [&](std::size_t panel) {
    if (panel == panels()) return verify(run);
    const std::size_t first = panel * width;
    std::fill_n(mean + first, width, 0.0);
    std::fill_n(scale + first, width, 1.0);
    if (eps > 0)
      measure_columns(mean + first, scale + first, reinterpret_cast<const std::byte*>(values.get(run) + first),
                      columns * sizeof(float), rows, std::min(width, columns - first), eps, *microkernels);
  });
}

template <class T>
void measure_kernel_operation<T>::verify(const training_context& run) const noexcept {
  if (!read || !read->in_parts()) return;
  run.failure->guard([&] {
    read->data->check_parts({read->checksums.at<std::uint32_t>(run), read->max_items()}, read_part_values);
  });
}

BIT_FUNC transposed_layout transposed_layout_of(const std::vector<std::size_t>& shape, double eps, weight_layout layout,
                                                std::size_t tile_columns) {
  transposed_layout made{{shape[0] * shape[1], shape[3], blocks_of(shape[3]) * block, shape[2], eps}, layout};
  made.panel_size = products_of(made.how, layout) * made.how.padded_rows_per_tap * tile_columns;
  made.panels = (made.how.columns + tile_columns - 1) / tile_columns;
  return made;
}

BIT_FUNC void pack_transposed_taps(float* to, const float* values, const packing& how, std::size_t panel,
                                   std::size_t tile_columns, const double* mean, const double* scale) {
  const std::size_t width = tile_columns, first = panel * width;
  const std::size_t cin = how.columns, cout = how.rows_per_tap, columns = std::min(width, cin - first);
  std::fill_n(to, how.taps * how.padded_rows_per_tap * width, 0.0f);
  for (std::size_t tap = 0; tap < how.taps; ++tap) {
    float* rows = to + (how.taps - 1 - tap) * how.padded_rows_per_tap * width;
    const float* from = values + (tap * cin + first) * cout;
    for (std::size_t o = 0; o < cout; o += block)  // a block of rows stays in L1 while the columns pass
      for (std::size_t i = 0; i < columns; ++i)
        for (std::size_t j = o; j < std::min(o + block, cout); ++j)
          rows[j * width + i] = static_cast<float>((static_cast<double>(from[i * cout + j]) - mean[j]) * scale[j]);
  }
}

template <class T>
void pack_transposed_operation<T>::run(const training_context& run) const noexcept {
  const double* mean = standardisation.at<double>(run);
  float* taps = reinterpret_cast<float*>(run.scratch);
  run.work(layout.panels, [&](std::size_t panel) {
    pack_transposed_taps(taps, values.get(run), layout.how, panel, microkernels->tile_columns, mean, mean + padded);
    pack_layout(to.at<T>(run) + panel * layout.panel_size, taps, layout.how, layout.layout, *microkernels);
  });
}

}  // namespace bit::inline BIT_ABI::detail
