// SPDX-License-Identifier: Apache-2.0
// What the operations of the backward pass share: the state of a run, arrays in the arena, and the two small
// operations that prepare or follow a backward-data convolution.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/context.hpp>
#include <bit/backend/cpu/isa/backward_table.hpp>
#include <span>

namespace bit::inline BIT_ABI::detail {

/// The state of one run of a training plan. The members added here are used in the backward pass only.
struct training_context : run_context {
  const float* dlogits = nullptr;                       ///< (n,classes), row-major
  double scale = 1;                                     ///< factor of all parameters' gradients; taps are not scaled
  std::span<const float* const> output_gradients = {};  ///< in the order of the outputs; null stands for zeros
};

/// Zero insertion, the transpose of a stride: each pixel of `from` is followed by stride - 1 columns and rows of zeros
/// in `to`. A convolution of stride 1 over the result is the backward-data convolution of the strided one. Maps are of
/// type T.
template <class T>
struct zero_insertion_operation {
  std::size_t images, stride;
  feature_map_ref from, to;

  std::size_t max_items() const { return images * to.blocks; }
  void run(const training_context& run) const noexcept {
    run.work(images * to.blocks, [&](std::size_t item) {
      const std::size_t n = item / to.blocks, b = item % to.blocks;
      const T* x = from.at<T>(run, n) + b * from.pixels() * block;
      T* y = to.at<T>(run, n) + b * to.pixels() * block;
      std::fill_n(y, to.pixels() * block, T(0.0f));
      for (std::size_t r = 0; r < from.height; ++r)
        for (std::size_t c = 0; c < from.width; ++c)
          std::copy_n(x + (r * from.width + c) * block, block, y + (r * to.width + c) * stride * block);
    });
  }
};

/// Adds each pixel (r, c) of `from` to pixel (r·stride, c·stride) of the larger map `to`: the transpose of reading
/// every stride-th pixel, as a strided 1x1 projection does.
template <class T>
struct scatter_operation {
  std::size_t images, stride;
  feature_map_ref from, to;

  std::size_t max_items() const { return images * to.blocks; }
  void run(const training_context& run) const noexcept {
    run.work(images * to.blocks, [&](std::size_t item) {
      const std::size_t n = item / to.blocks, b = item % to.blocks;
      const T* x = from.at<T>(run, n) + b * from.pixels() * block;
      T* y = to.at<T>(run, n) + b * to.pixels() * block;
      for (std::size_t r = 0; r < from.height; ++r)
        for (std::size_t c = 0; c < from.width; ++c, x += block)
          for (std::size_t i = 0; i < block; ++i) {
            T& sum = y[(r * to.width + c) * stride * block + i];
            sum = T(static_cast<float>(sum) + static_cast<float>(x[i]));
          }
    });
  }
};

}  // namespace bit::inline BIT_ABI::detail
