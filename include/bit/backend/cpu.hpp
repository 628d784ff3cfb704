// SPDX-License-Identifier: Apache-2.0
// cpu<float> and cpu<bfloat16>: OpenMP over blocks of channels, one fused kernel per step, the instruction set chosen
// at run time.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/backend/cpu/format.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/plan.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/detail/machine_memory.hpp>

namespace bit::inline BIT_ABI {

/// The CPU backend. F is the dtype (backend/cpu/format.hpp): float, or bfloat16 for activations and weights. With
/// bfloat16, sums, statistics, normalisation and the first convolution stay in float; activations and weights take half the
/// memory, and CPUs with AVX-512-BF16 multiply at twice the rate, while others multiply the same numbers as floats. The
/// caller's images, features and logits are float with either.
template <cpu_dtype F = float>
struct cpu {
  using value_type = float;
  using plan = detail::cpu_plan<F>;
  using workspace = typename plan::workspace;

  static constexpr std::size_t map_bytes = sizeof(detail::feature_map_of<F>);
  static constexpr std::size_t largest_batch = 32;
  /// Main memory and swap space.
  static std::size_t memory_bytes() { return detail::machine_memory(); }

  /// The number of threads that a run uses: `requested`, or, if that is 0, what OMP_NUM_THREADS, the affinity mask and
  /// the cgroup's CPU quota allow. In a forked child it is always 1.
  static std::size_t threads(std::size_t requested) {
    return static_cast<std::size_t>(detail::region_threads(requested > 0 ? requested : detail::usable_threads()));
  }

  /// The packed weights, for the instruction set that BIT_ISA or the CPU decides.
  struct weights : detail::cpu_weights<F> {
    explicit weights(const program& p, const freeze_options& options = {})
        : detail::cpu_weights<F>(p, detail::microkernels_of<F>(detail::default_instruction_set()), options) {}
  };
};

static_assert(backend<cpu<float>> && backend<cpu<bfloat16>>);

}  // namespace bit::inline BIT_ABI
