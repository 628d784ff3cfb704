// Bodies of backend/cpu/cost.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/cost.hpp>
#include <type_traits>

namespace bit::inline v0::detail {

/// Bytes per second at which layers bound by their weights were seen to run (memory itself gives 39e9 to one core, 43e9
/// to two). It weighs bytes a little more than a layer alone would: neighbours wait for the same memory.
inline constexpr double memory_bandwidth = 38e9;
/// Bytes per second at which transforms write V and read the products, both cores together: 55e9 to 99e9 measured.
inline constexpr double transform_bandwidth = 70e9;
inline constexpr double cores = 2;
/// Bytes of a bfloat16 kernel in tiles of 4x4 that is made for one use. Larger ones (512 channels: 19 MB) would be much of
/// a small batch's arena.
inline constexpr std::size_t largest_fresh_kernel = std::size_t{8} << 20;

template <class T>
double predicted_seconds(const conv_size& size, kernel_form form, const kernel_table<T>& kernels) {
  const auto number = [](std::size_t n) { return static_cast<double>(n); };
  const double rate = cores * kernels.flops_per_second;
  const double channels = number(size.cin) * number(size.cout);
  if (form == kernel_form::direct) {
    const double flops = 2 * 9 * channels * number(size.images * size.height * size.width);
    return std::max(flops / rate, 9 * channels * sizeof(T) / memory_bandwidth);
  }
  const std::size_t m = form == kernel_form::winograd_2x2 ? 2 : 4, t = m + 2;
  const double tiles = number(size.images * ((size.height + m - 1) / m) * ((size.width + m - 1) / m));
  const double products = number(t * t), flops = 2 * products * channels * tiles;
  const double moved = products * tiles * (number(size.cin * kernels.packed_bytes) + number(size.cout) * sizeof(float));
  return std::max(flops / rate + moved / transform_bandwidth, products * channels * sizeof(T) / memory_bandwidth);
}

template <class T>
kernel_form choose_form(const conv_size& size, algorithm wanted, const kernel_table<T>& kernels) {
  if (wanted == algorithm::direct) return kernel_form::direct;
  if (wanted == algorithm::winograd_2x2) return kernel_form::winograd_2x2;
  if (wanted == algorithm::winograd_4x4) return kernel_form::winograd_4x4;
  kernel_form best = wanted == algorithm::winograd ? kernel_form::winograd_2x2 : kernel_form::direct;
  for (const kernel_form form : {kernel_form::winograd_2x2, kernel_form::winograd_4x4})
    if ((form == kernel_form::winograd_2x2 || std::is_same_v<T, float>)&&predicted_seconds(size, form, kernels) <
        predicted_seconds(size, best, kernels))
      best = form;
  return best;
}

template <class T>
kernel_form choose_fresh_form(const conv_size& size, kernel_form largest, const kernel_table<T>& kernels) {
  const bool too_large = !std::is_same_v<T, float> && 36 * size.cin * size.cout * sizeof(T) > largest_fresh_kernel;
  if (kernels.packed_bytes < sizeof(float) || too_large) largest = std::min(largest, kernel_form::winograd_2x2);
  const double weights = static_cast<double>(size.cin * size.cout) * sizeof(T);
  const auto seconds = [&](kernel_form form) {
    const double products = form == kernel_form::direct ? 9 : form == kernel_form::winograd_2x2 ? 16 : 36;
    return predicted_seconds(size, form, kernels) + products * weights / memory_bandwidth;
  };
  kernel_form best = kernel_form::direct;
  for (const kernel_form form : {kernel_form::winograd_2x2, kernel_form::winograd_4x4})
    if (form <= largest && seconds(form) < seconds(best)) best = form;
  return best;
}

}  // namespace bit::inline v0::detail
