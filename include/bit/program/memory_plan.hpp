// SPDX-License-Identifier: Apache-2.0
// One arena for all values of a program: a value's bytes are free again after the last step that reads it.
#pragma once

#include <bit/program/program.hpp>
#include <cstddef>
#include <span>
#include <vector>

namespace bit::inline BIT_ABI {

/// First and last step that touch a value; outputs live to the end.
struct live_range {
  std::size_t first = 0, last = 0;
  bool used = false;
};

/// Where each value lies in the arena.
struct memory_plan {
  static constexpr std::size_t not_stored = static_cast<std::size_t>(-1);
  std::vector<live_range> ranges;    ///< per value
  std::vector<std::size_t> bytes;    ///< per value, as given
  std::vector<std::size_t> offsets;  ///< per value, multiples of `alignment`; not_stored for values of 0 bytes
  std::size_t total = 0;             ///< arena bytes
};

/// Live range of every value. Thread-safe.
BIT_FUNC std::vector<live_range> live_ranges(const program& p);
/// The same for `values` values and any steps, of which only the flow matters.
BIT_FUNC std::vector<live_range> live_ranges(std::size_t values, std::span<const step_values> steps,
                                             std::span<const value_id> outputs);

/// Places every value (`bytes[i]` for value i, 0 for what lies elsewhere) by best fit over live ranges, the largest
/// first; a residual and the sum written over it share memory when the residual is not read again.
/// `alignment` must be a power of two. Thread-safe.
BIT_FUNC memory_plan plan_memory(const program& p, const std::vector<std::size_t>& bytes, std::size_t alignment = 64);
/// The same for any steps, of which only the flow matters.
BIT_FUNC memory_plan plan_memory(std::span<const step_values> steps, std::span<const value_id> outputs,
                                 const std::vector<std::size_t>& bytes, std::size_t alignment = 64);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/program/memory_plan.ipp>
#endif
