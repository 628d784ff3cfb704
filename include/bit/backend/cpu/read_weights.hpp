// SPDX-License-Identifier: Apache-2.0
// Reads a model's tensors with all threads and passes their values to jobs that use them, a few megabytes at a time.
#pragma once

#include <bit/config.hpp>
#include <bit/program/parameter.hpp>
#include <cstddef>
#include <functional>
#include <span>

namespace bit::inline BIT_ABI::detail {

/// A job that uses the values of one tensor, in `pieces` calls that are independent of each other.
struct weight_job {
  const named_tensor* tensor;
  std::size_t pieces;
  std::function<void(std::size_t piece, const float* values)> make;  ///< called from any thread; must not throw
};

/// Runs all jobs. The tensors are copied in groups of 8 MB, or one larger tensor, into one buffer, which stays in the
/// cache until the jobs of the group are done. Copying costs less than reading a mapped file in place, whose page
/// faults take 11 us each, for 64 KB. The memory needed is one group beside the jobs' results. Throws format_error or
/// io_error if a tensor cannot be read; some jobs are then not done.
BIT_FUNC void read_weights(std::span<const weight_job> jobs);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/read_weights.ipp>
#endif
