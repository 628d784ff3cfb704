// SPDX-License-Identifier: Apache-2.0
// Body of training_of<cpu<T>>::speed: how long a training step takes on this machine.
#pragma once

#include <bit/backend/cpu/peak.hpp>
#include <bit/backend/cpu/training.hpp>
#include <bit/program/summary.hpp>
#include <concepts>

namespace bit::inline BIT_ABI::detail {

template <class T>
training_speed cpu_training_speed(const program& forward, const trainable_parameters<float>& parameters,
                                  std::size_t threads) {
  // Fitted to the processor time of steps of R50x1 (8 and 32 images of 64, 1 to 16 of 128, 2 and 8 of 224), R101x1 (8 of
  // 128) and a network of one unit per block (64 of 32, 16 of 128) with two cores of Emerald Rapids, 2026-11; the fit is
  // within a fifth of each, in both dtypes. Parts near 1 are of direct convolutions: Winograd's take less.
  constexpr double training_part = 0.95, inference_part = 1, map_passes = 8, parameter_passes = 30, overhead = 1e-5;
  const auto isa = default_instruction_set();
  const auto peak = measure_peak(cpu<T>::threads(threads), isa);
  // Where bfloat16 is multiplied as floats, a step takes float32's time: widening costs what smaller maps save.
  const bool pairs = std::same_as<T, bfloat16> && microkernels_of<T>(isa).packed_bytes == sizeof(bfloat16);
  const double flops = 1e9 * (pairs ? peak.bfloat16_gflops : peak.fma_gflops), bandwidth = 1e9 * peak.read_gbytes;
  const double map_width = pairs ? sizeof(bfloat16) : sizeof(float);
  double operations = 0, map_elements = 0, steps = 0, parameter_bytes = 0;
  for (const auto& row : summarise(forward)) {
    operations += 2.0 * static_cast<double>(row.macs);
    map_elements += static_cast<double>(row.output_elements);
    steps += 1;
  }
  for (const tensor_spec& p : parameters.specs()) parameter_bytes += sizeof(float) * static_cast<double>(p.size());
  const double map_seconds = map_passes * map_width * map_elements / bandwidth;
  return {3 * operations / (training_part * flops) + map_seconds + 3 * steps * overhead,
          operations / (inference_part * flops) + map_seconds / 3 + steps * overhead,
          parameter_passes * parameter_bytes / bandwidth};
}

}  // namespace bit::inline BIT_ABI::detail
