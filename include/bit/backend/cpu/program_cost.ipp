// Bodies of backend/cpu/program_cost.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/program_cost.hpp>
#include <bit/program/summary.hpp>

namespace bit::inline v0::detail {

/// Barrier, uneven shares and first touches of a step: R50x1 at 224² took 22.1 ms for one image, 41.1 for two and 82.3
/// for four (2 threads, Zen 5), that is 1.2 ms a call over its 51 steps beside 20.3 ms an image.
inline constexpr double step_seconds = 1.2e-3 / 51;
/// Of float products in a whole network; bfloat16 has twice the rate.
inline constexpr double predicted_rate = 400e9, predicted_bandwidth = 43e9;

BIT_FUNC double predicted_seconds(const program& p, std::size_t item_size) {
  const auto number = [](std::size_t n) { return static_cast<double>(n); };
  const double rate = predicted_rate * sizeof(float) / number(item_size);
  double seconds = 0;
  for (const step_summary& s : summarise(p)) {
    const double weights = s.macs > 0 ? number(s.parameters * item_size) : 0.0;
    seconds += step_seconds + std::max(2.0 * number(s.macs) / rate, weights / predicted_bandwidth);
  }
  return seconds;
}

}  // namespace bit::inline v0::detail
