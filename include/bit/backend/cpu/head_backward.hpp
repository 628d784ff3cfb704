// SPDX-License-Identifier: Apache-2.0
// The backward pass of the classifier and of the mean over rows and columns.
#pragma once

#include <bit/backend/cpu/transposed_kernel.hpp>
#include <span>

namespace bit::inline BIT_ABI::detail {

/// A head_backward_step compiled for one shape. x and dx are matrices [c/16][images][16] of floats; dy is the caller's.
/// A work item is one block of features, whose rows of the kernel are read once for both gradients. If dx has no
/// blocks, or the span of a frozen parameter is empty, that gradient is not computed.
struct head_backward_operation {
  std::size_t images, features, classes;
  feature_map_ref x, dx;
  values_ref kernel;  ///< (features,classes), as it is stored
  std::span<float> dkernel, dbias;

  std::size_t max_items() const { return x.blocks + 1; }
  void run(const training_context& run) const noexcept {
    run.work(x.blocks + 1, [&](std::size_t b) {
      if (b == x.blocks) return add_bias(run);
      for (std::size_t c = b * block; c < (b + 1) * block; ++c)
        for (std::size_t n = 0; n < images; ++n) {
          const std::size_t at = (b * images + n) * block + c % block;
          const float* dy = run.dlogits + n * classes;
          if (dx.blocks != 0) dx.at<float>(run, 0)[at] = c < features ? product(dy, kernel.get(run) + c * classes) : 0;
          if (!dkernel.empty() && c < features)
            add(dkernel.data() + c * classes, dy, static_cast<float>(run.scale * x.at<float>(run, 0)[at]));
        }
    });
  }

 private:
  float product(const float* dy, const float* w) const noexcept {
    float sums[block] = {};  // independent sums, so that the compiler may keep them in vectors
    std::size_t k = 0;
    for (; k + block <= classes; k += block)
      for (std::size_t i = 0; i < block; ++i) sums[i] += dy[k + i] * w[k + i];
    for (; k < classes; ++k) sums[0] += dy[k] * w[k];
    double sum = 0;
    for (const float s : sums) sum += s;
    return static_cast<float>(sum);
  }
  void add(float* dw, const float* dy, float value) const noexcept {
    for (std::size_t k = 0; k < classes; ++k) dw[k] += value * dy[k];
  }
  void add_bias(const training_context& run) const noexcept {
    for (std::size_t k = 0; k < dbias.size(); ++k) {
      double sum = 0;
      for (std::size_t n = 0; n < images; ++n) sum += run.dlogits[n * classes + k];
      dbias[k] += static_cast<float>(run.scale * sum);
    }
  }
};

/// A mean_backward_step compiled for one shape. dx is a feature map of type T, dy a matrix of floats.
template <class T>
struct mean_backward_operation {
  std::size_t images;
  feature_map_ref dy, dx;

  std::size_t max_items() const { return images * dx.blocks; }
  void run(const training_context& run) const noexcept {
    run.work(images * dx.blocks, [&](std::size_t item) {
      const std::size_t n = item / dx.blocks, b = item % dx.blocks;
      const float* from = dy.at<float>(run, 0) + (b * images + n) * block;
      T* to = dx.at<T>(run, n) + b * dx.pixels() * block;
      const float share = 1.0f / static_cast<float>(dx.pixels());
      for (std::size_t p = 0; p < dx.pixels(); ++p)
        for (std::size_t c = 0; c < block; ++c) to[p * block + c] = T(share * from[c]);
    });
  }
};

}  // namespace bit::inline BIT_ABI::detail
