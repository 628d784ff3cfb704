// Reading a model's tensors with all threads and handing their values on, a few megabytes at a time.
#pragma once

#include <bit/config.hpp>
#include <bit/program/parameter.hpp>
#include <cstddef>
#include <functional>
#include <span>

namespace bit::inline v0::detail {

/// Something to make of one tensor, in `pieces` that are independent of each other.
struct weight_job {
  const named_tensor* tensor;
  std::size_t pieces;
  std::function<void(std::size_t piece, const float* values)> make;  ///< called by any thread; must not throw
};

/// Does all jobs. One after the other, groups of tensors of 8 MB (or one larger tensor) are copied into one buffer,
/// which stays in the cache until their pieces are made: a copy costs less than mapping pages and letting them go, as
/// page faults of a mapped file are 11 us each, for 64 KB. Beside the results a group is all that is in memory.
/// Throws what reading a tensor throws; other jobs may then be undone.
BIT_FUNC void read_weights(std::span<const weight_job> jobs);

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/read_weights.ipp>
#endif
