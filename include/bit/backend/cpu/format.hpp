// SPDX-License-Identifier: Apache-2.0
// What numbers cpu<F> computes with: one trait in place of a single type for activations, weights and sums alike.
#pragma once

#include <bit/bfloat16.hpp>
#include <concepts>

namespace bit::inline BIT_ABI {

/// How cpu<F> stores and multiplies numbers. A specialisation says
/// - feature_map: the type of activations and their gradients, as they lie in memory between operations;
/// - weight: the type of packed weights. An instruction set can multiply them if its namespace has a product<weight>
///   (isa/vector.inl), which also says what pixels are packed as right before they are multiplied;
/// - accumulator: the type of sums of products in a register tile; Winograd's output transform needs float;
/// - column_scale: whether each output channel's sums are multiplied by a factor of their own, as weights need that are
///   quantised per channel.
///
/// Images, statistics, norms, the first convolution and logits are float in every format. F is a tag: a number type where
/// one type says it all, or else an empty struct.
template <class F>
struct cpu_format;

/// Everything is float.
template <>
struct cpu_format<float> {
  using feature_map = float;
  using weight = float;
  using accumulator = float;
  static constexpr bool column_scale = false;
};

/// Activations and weights are bfloat16.
template <>
struct cpu_format<bfloat16> {
  using feature_map = bfloat16;
  using weight = bfloat16;
  using accumulator = float;
  static constexpr bool column_scale = false;
};

/// A type that cpu_format is specialised for.
template <class F>
concept cpu_dtype = requires {
  typename cpu_format<F>::feature_map;
  typename cpu_format<F>::weight;
  typename cpu_format<F>::accumulator;
  { cpu_format<F>::column_scale } -> std::convertible_to<bool>;
};

namespace detail {

template <class F>
using feature_map_of = typename cpu_format<F>::feature_map;
template <class F>
using weight_of = typename cpu_format<F>::weight;
template <class F>
using accumulator_of = typename cpu_format<F>::accumulator;

}  // namespace detail

}  // namespace bit::inline BIT_ABI
