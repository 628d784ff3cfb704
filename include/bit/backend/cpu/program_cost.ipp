// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/program_cost.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/program_cost.hpp>
#include <bit/program/summary.hpp>

namespace bit::inline BIT_ABI::detail {

/// The fixed cost of a step in seconds: its end, uneven shares, first accesses. R50x1 at 224² takes 15.7 ms for one
/// image and 30.1 ms for two (2 threads, Zen 5), that is 14.4 ms per image and 1.3 ms per call, for 51 steps.
inline constexpr double step_seconds = 1.3e-3 / 51;

template <class F>
double predicted_seconds(const program& p, const freeze_options& options, const microkernel_table<F>& microkernels) {
  const auto number = [](std::size_t n) { return static_cast<double>(n); };
  const std::vector<step_summary> summaries = summarise(p);
  double seconds = step_seconds * number(summaries.size());
  for (std::size_t i = 0; i < summaries.size(); ++i) {
    const step_summary& s = summaries[i];
    const conv_step* conv = convolution_of(p.steps[i]);
    if (conv && winograd_applies(*conv)) {
      const dims4 &x = p[conv->main.x].dims, &y = p[conv->y].dims;
      const conv_size size{x.n, x.h, x.w, x.c, y.c};
      seconds += predicted_seconds(size, choose_weight_layout(size, options.algorithm, microkernels), microkernels);
    } else if (s.macs > 0) {
      seconds += std::max(2 * number(s.macs) / (cores * microkernels.flops_per_second),
                          number(s.parameters * sizeof(weight_of<F>)) / memory_bandwidth);
    }
  }
  return seconds;
}

}  // namespace bit::inline BIT_ABI::detail
