// cpu<float> and cpu<bfloat16>: OpenMP over blocks of channels, one fused kernel per step, the instruction set chosen at
// run time.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/plan.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <concepts>

namespace bit::inline v0 {

/// CPU backend. T is what kernels, feature maps and products are made of: float, or bfloat16 with sums, statistics,
/// normalisation and the first convolution in float, half the memory and, with AVX-512-BF16, twice the rate; other
/// CPUs compute the same products in float. Images, features and logits at the door are float for both.
template <class T = float>
requires std::same_as<T, float> || std::same_as<T, bfloat16>
struct cpu {
  using value_type = float;
  using plan = detail::cpu_plan<T>;
  using workspace = typename plan::workspace;

  /// `requested`, or if it is 0 what OMP_NUM_THREADS, the affinity mask and the cgroup's CPU quota allow;
  /// in a forked child always 1.
  static std::size_t threads(std::size_t requested) {
    return static_cast<std::size_t>(detail::region_threads(requested > 0 ? requested : detail::usable_threads()));
  }

  /// Packed parameters for the instruction set that BIT_ISA or the CPU decides.
  struct weights : detail::cpu_weights<T> {
    explicit weights(const program& p, const freeze_options& options = {})
        : detail::cpu_weights<T>(p, detail::microkernels_of<T>(detail::default_instruction_set()), options) {}
  };
};

static_assert(backend<cpu<float>> && backend<cpu<bfloat16>>);

}  // namespace bit::inline v0
