// SPDX-License-Identifier: Apache-2.0
// Copies values out of the arena, from blocks of 16 channels to the caller's order.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/context.hpp>

namespace bit::inline BIT_ABI::detail {

/// Writes a value into the caller's memory: run_context::outputs[output], in run_context::output_layout, padding
/// channels left out. Nothing is done where that address is null. An item is one block of channels of one image.
template <class T>
struct export_operation {
  feature_map_ref from;  ///< a feature map, or a matrix whose rows are its pixels
  bool in_float;         ///< whether the value is of float whatever T is, as matrices are
  bool matrix;
  std::size_t images, channels;
  std::size_t output;

  std::size_t max_items() const { return (matrix ? 1 : images) * from.blocks; }
  void run(const run_context& run) const noexcept {
    float* to = run.outputs[output];
    if (in_float)
      copy<float>(run, to);
    else
      copy<T>(run, to);
  }

 private:
  template <class From>
  void copy(const run_context& run, float* to) const noexcept {
    const std::size_t pixels = from.pixels();
    const bool channels_last = matrix || run.output_layout == layout::nhwc;
    run.work(to ? max_items() : 0, [&](std::size_t item) {
      const std::size_t n = item / from.blocks, b = item % from.blocks;
      const std::size_t count = std::min(block, channels - b * block);
      const From* x = from.at<From>(run, n) + b * pixels * block;
      float* image = to + n * pixels * channels;
      for (std::size_t p = 0; p < pixels; ++p)
        for (std::size_t c = 0; c < count; ++c)
          image[channels_last ? p * channels + b * block + c : (b * block + c) * pixels + p] =
              static_cast<float>(x[p * block + c]);
    });
  }
};

}  // namespace bit::inline BIT_ABI::detail
