// SPDX-License-Identifier: Apache-2.0
// What each step of a plan is, how it is computed, what it moves, and how long it takes: rows of `pybit profile`.
#pragma once

#include <bit/program/summary.hpp>
#include <cstddef>
#include <string_view>
#include <vector>

namespace bit::inline BIT_ABI {

/// One step of a plan.
struct step_profile {
  step_summary step;              ///< name, kind, shapes, multiply-adds of the direct form
  std::string_view algorithm;     ///< "direct", "winograd_2x2", "winograd_4x4"; empty for steps without a product
  std::size_t weight_bytes = 0;   ///< of its kernels in the form that the plan reads
  std::size_t read_bytes = 0;     ///< images, maps, tables and statistics that it reads, as they lie in memory
  std::size_t written_bytes = 0;  ///< the same for what it writes
  double min_seconds = 0;         ///< of a profile's runs; 0 in a report
  double median_seconds = 0;

  /// Operations of the direct form, a multiply-add counted as two. An algorithm that saves products does fewer.
  double flops() const { return 2.0 * static_cast<double>(step.macs); }
};

/// A row for every step with what does not depend on the backend's algorithms: kernels of `item_size` bytes a value
/// computed directly. `value_bytes`: of every value of `p` as the backend stores it; images take item_size as well.
BIT_FUNC std::vector<step_profile> report_steps(const program& p, const std::vector<std::size_t>& value_bytes,
                                                std::size_t item_size);

/// Fills in min_seconds and median_seconds; from `seconds[run * rows.size() + step]`.
BIT_FUNC void add_seconds(std::vector<step_profile>& rows, const std::vector<double>& seconds);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/backend/report.ipp>
#endif
