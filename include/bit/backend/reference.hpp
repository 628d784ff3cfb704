// SPDX-License-Identifier: Apache-2.0
// reference<T>: every step written plainly in xtensor and xtensor-blas, float or double. It is the specification of the
// steps and the backend that the fast kernels and gradients are tested against; slow, exact and single-threaded.
// Maps are (n,h,w,c) xtensors, tables (n,c).
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/backend/reference/plan.hpp>
#include <bit/detail/machine_memory.hpp>

namespace bit::inline BIT_ABI {

/// The reference backend; T is float or double.
template <class T>
struct reference {
  using value_type = T;
  using weights = detail::reference_weights<T>;
  using plan = detail::reference_plan<T>;
  using workspace = detail::reference_workspace<T>;

  static constexpr std::size_t map_bytes = sizeof(T);
  static constexpr std::size_t largest_batch = 32;
  /// Main memory and swap space.
  static std::size_t memory_bytes() { return detail::machine_memory(); }

  /// Always one.
  static std::size_t threads(std::size_t) { return 1; }
};

static_assert(backend<reference<float>> && backend<reference<double>>);

}  // namespace bit::inline BIT_ABI
