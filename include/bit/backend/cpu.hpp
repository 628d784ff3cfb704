// cpu<float>: OpenMP over blocks of channels, one fused kernel per step, the instruction set chosen at run time.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/peak.hpp>
#include <bit/backend/cpu/plan.hpp>
#include <bit/backend/cpu/threads.hpp>

namespace bit::inline v0 {

/// CPU policy. T is what activations and products are made of.
template <class T = float>
struct cpu;

/// Single precision: float products and sums, statistics in double.
template <>
struct cpu<float> {
  using value_type = float;
  using plan = detail::cpu_plan;
  using workspace = plan::workspace;

  /// `requested`, or if it is 0 what OMP_NUM_THREADS, the affinity mask and the cgroup's CPU quota allow;
  /// in a forked child always 1.
  static std::size_t threads(std::size_t requested) {
    return static_cast<std::size_t>(detail::region_threads(requested > 0 ? requested : detail::usable_threads()));
  }

  /// Packed parameters for the instruction set that BIT_ISA or the CPU decides.
  struct constants : detail::cpu_constants {
    explicit constants(const program& p, const freeze_options& options = {})
        : detail::cpu_constants(p, detail::default_kernels(), options) {}
  };
};

static_assert(backend<cpu<float>>);

}  // namespace bit::inline v0
