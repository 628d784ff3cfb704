// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/cost.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/cost.hpp>
#include <type_traits>

namespace bit::inline BIT_ABI::detail {

// The constants below and flops_per_second of isa/<name>.hpp describe one machine (two cores of Zen 5). To fit them to
// another, run `pybit profile R50x1` with two threads, with --batch-size 1 and 8, and with --algorithm direct,
// winograd_2x2 and winograd_4x4; set BIT_ISA for each instruction set. Then
// - flops_per_second is half the rate of the large direct 3x3 layers at batch 8;
// - memory_bandwidth is the weights' bytes over the seconds of the direct 3x3 layers of 512 channels at batch 1;
// - transform_bandwidth is the bytes `moved` below over what remains of the Winograd layers' seconds at batch 8 when the
//   time of their products is subtracted.
// Other constants change the choice of algorithms, hence the last digits of results: golden values must then be made
// again.

/// The bytes per second at which layers run that are limited by reading their weights. The memory itself gives 39e9 to
/// one core and 43e9 to two; the value is a little lower, because neighbouring layers wait for the same memory.
inline constexpr double memory_bandwidth = 38e9;
/// The bytes per second at which the transforms write V and read the products, with both cores together; 55e9 to 99e9
/// were measured.
inline constexpr double transform_bandwidth = 70e9;
/// The number of cores of the measured machine.
inline constexpr double cores = 2;
/// The largest bfloat16 kernel, in bytes, that is packed in tiles of 4x4 for a single use. A larger one (512 channels:
/// 19 MB) would be much of a small batch's arena.
inline constexpr std::size_t largest_repacked_kernel = std::size_t{8} << 20;

template <class F>
double predicted_seconds(const conv_size& size, weight_layout layout, const microkernel_table<F>& microkernels) {
  const auto number = [](std::size_t n) { return static_cast<double>(n); };
  const double rate = cores * microkernels.flops_per_second;
  const double channels = number(size.cin) * number(size.cout);
  if (layout == weight_layout::direct) {
    const double flops = 2 * 9 * channels * number(size.images * size.height * size.width);
    return std::max(flops / rate, 9 * channels * sizeof(weight_of<F>) / memory_bandwidth);
  }
  const std::size_t m = layout == weight_layout::winograd_2x2 ? 2 : 4, t = m + 2;
  const double tiles = number(size.images * ((size.height + m - 1) / m) * ((size.width + m - 1) / m));
  const double products = number(t * t), flops = 2 * products * channels * tiles;
  const double moved =
      products * tiles * (number(size.cin * microkernels.packed_bytes) + number(size.cout) * sizeof(float));
  return std::max(flops / rate + moved / transform_bandwidth,
                  products * channels * sizeof(weight_of<F>) / memory_bandwidth);
}

template <class F>
weight_layout choose_weight_layout(const conv_size& size, algorithm wanted, const microkernel_table<F>& microkernels) {
  if (wanted == algorithm::direct) return weight_layout::direct;
  if (wanted == algorithm::winograd_2x2) return weight_layout::winograd_2x2;
  if (wanted == algorithm::winograd_4x4) return weight_layout::winograd_4x4;
  weight_layout best = wanted == algorithm::winograd ? weight_layout::winograd_2x2 : weight_layout::direct;
  for (const weight_layout layout : {weight_layout::winograd_2x2, weight_layout::winograd_4x4})
    if ((layout == weight_layout::winograd_2x2 || std::is_same_v<weight_of<F>, float>)&&predicted_seconds(
            size, layout, microkernels) < predicted_seconds(size, best, microkernels))
      best = layout;
  return best;
}

template <class F>
weight_layout choose_repacked_layout(const conv_size& size, weight_layout largest,
                                     const microkernel_table<F>& microkernels) {
  const bool too_large = !std::is_same_v<weight_of<F>, float> &&
                         36 * size.cin * size.cout * sizeof(weight_of<F>) > largest_repacked_kernel;
  if (microkernels.packed_bytes < sizeof(float) || too_large) largest = std::min(largest, weight_layout::winograd_2x2);
  const double weights = static_cast<double>(size.cin * size.cout) * sizeof(weight_of<F>);
  const auto seconds = [&](weight_layout layout) {
    const double products = layout == weight_layout::direct ? 9 : layout == weight_layout::winograd_2x2 ? 16 : 36;
    return predicted_seconds(size, layout, microkernels) + products * weights / memory_bandwidth;
  };
  weight_layout best = weight_layout::direct;
  for (const weight_layout layout : {weight_layout::winograd_2x2, weight_layout::winograd_4x4})
    if (layout <= largest && seconds(layout) < seconds(best)) best = layout;
  return best;
}

}  // namespace bit::inline BIT_ABI::detail
