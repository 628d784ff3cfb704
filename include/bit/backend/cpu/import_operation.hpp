// SPDX-License-Identifier: Apache-2.0
// Copies the caller's gradient of an output into the arena, from the caller's order to blocks of 16 channels.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/training_context.hpp>

namespace bit::inline BIT_ABI::detail {

/// Writes training_context::output_gradients[output], in run_context::output_layout, to a value or adds it there. Where that
/// address is null, the gradient is zero. Padding channels stay or become zero. An item is one block of channels of one
/// image.
template <class T>
struct import_operation {
  feature_map_ref to;  ///< a feature map, or a matrix whose rows are its pixels
  bool in_float;       ///< whether the value is of float whatever T is, as matrices are
  bool matrix;
  std::size_t images, channels;
  std::size_t output;
  bool adds;

  std::size_t max_items() const { return (matrix ? 1 : images) * to.blocks; }
  void run(const training_context& run) const noexcept {
    const float* from = run.output_gradients[output];
    if (in_float)
      copy<float>(run, from);
    else
      copy<T>(run, from);
  }

 private:
  template <class To>
  void copy(const training_context& run, const float* from) const noexcept {
    const std::size_t pixels = to.pixels();
    const bool channels_last = matrix || run.output_layout == layout::nhwc;
    run.work(from || !adds ? max_items() : 0, [&](std::size_t item) {
      const std::size_t n = item / to.blocks, b = item % to.blocks;
      const std::size_t count = std::min(block, channels - b * block);
      To* x = to.at<To>(run, n) + b * pixels * block;
      if (!adds) std::fill_n(x, pixels * block, To(0.0f));
      if (!from) return;
      const float* image = from + n * pixels * channels;
      for (std::size_t p = 0; p < pixels; ++p)
        for (std::size_t c = 0; c < count; ++c) {
          To& sum = x[p * block + c];
          sum = To(static_cast<float>(sum) +
                   image[channels_last ? p * channels + b * block + c : (b * block + c) * pixels + p]);
        }
    });
  }
};

}  // namespace bit::inline BIT_ABI::detail
