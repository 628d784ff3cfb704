// SPDX-License-Identifier: Apache-2.0
// Weight standardisation of one kernel, outside all backends: the definition that the reference backend computes with,
// that exported files are made by, and that the CPU's vectorised form (backend/cpu/isa/standardise.inl) is tested against.
#pragma once

#include <bit/config.hpp>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// What standardises a kernel, per output channel.
struct kernel_moments {
  std::vector<double> mean;       ///< over (h,w,i)
  std::vector<double> deviation;  ///< sqrt(variance + eps), with the biased variance
};

/// The moments of a kernel HWIO of `height`·`width` taps, `in` input and `out` output channels: values[(tap·in + i)·out + o].
/// Sums are taken in double: over the input channels of a tap, over the taps of a row, then over rows, about the mean.
template <class T>
kernel_moments moments_of_kernel(std::span<const T> values, std::size_t height, std::size_t width, std::size_t in,
                                 std::size_t out, double eps) {
  const double count = static_cast<double>(height * width * in);
  const auto sum = [&](std::size_t o, auto term) {
    double total = 0;
    for (std::size_t h = 0; h < height; ++h) {
      double row = 0;
      for (std::size_t w = 0; w < width; ++w) {
        double tap = 0;
        for (std::size_t i = 0; i < in; ++i)
          tap += term(static_cast<double>(values[((h * width + w) * in + i) * out + o]));
        row = w == 0 ? tap : row + tap;
      }
      total = h == 0 ? row : total + row;
    }
    return total;
  };
  kernel_moments moments;
  for (std::size_t o = 0; o < out; ++o) {
    const double mean = sum(o, [](double v) { return v; }) / count;
    const double variance = sum(o, [mean](double v) { return (v - mean) * (v - mean); }) / count;
    moments.mean.push_back(mean);
    moments.deviation.push_back(std::sqrt(variance + eps));
  }
  return moments;
}

/// The standardised kernel: (value - mean) / sqrt(variance + eps) over (h,w,i) of each output channel (bit_pytorch/models.py,
/// StdConv2d), computed in double and rounded once. `values` and `result` are HWIO and may be the same memory.
template <class T>
void standardise_kernel(std::span<const T> values, std::size_t height, std::size_t width, std::size_t in,
                        std::size_t out, double eps, std::span<T> result) {
  const kernel_moments moments = moments_of_kernel(values, height, width, in, out, eps);
  for (std::size_t k = 0; k < height * width * in; ++k)
    for (std::size_t o = 0; o < out; ++o)
      result[k * out + o] =
          static_cast<T>((static_cast<double>(values[k * out + o]) - moments.mean[o]) / moments.deviation[o]);
}

}  // namespace bit::inline BIT_ABI::detail
