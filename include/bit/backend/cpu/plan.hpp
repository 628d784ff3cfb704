// SPDX-License-Identifier: Apache-2.0
// A program compiled for the CPU and one input shape: operations with every address and split decided, one arena.
#pragma once

#include <bit/backend/cpu/conv.hpp>
#include <bit/backend/cpu/export_operation.hpp>
#include <bit/backend/cpu/pool.hpp>
#include <bit/backend/cpu/stem.hpp>
#include <bit/backend/cpu/winograd.hpp>
#include <bit/backend/cpu/workspace_division.hpp>
#include <bit/backend/report.hpp>
#include <bit/backend/run.hpp>
#include <bit/program/memory_plan.hpp>
#include <memory>
#include <span>
#include <variant>

namespace bit::inline BIT_ABI::detail {

/// A program for inference, compiled. Feature maps, kernels and products are of type T; images, matrices and outputs are
/// float. It is immutable; any number of threads may run it at once, each with a workspace of its own.
template <class T>
class cpu_plan {
 public:
  using value_type = float;
  using workspace = aligned_buffer<std::byte>;

  /// Decides everything that depends on shapes. Throws config_error if a step has no operation here, and if the images
  /// make more work items than the queue counts.
  cpu_plan(const program& p, std::shared_ptr<const cpu_weights<T>> weights);

  /// Bytes that run() needs for `threads` threads.
  std::size_t workspace_bytes(std::size_t threads) const { return division_.bytes(threads); }
  const memory_plan& memory() const { return memory_; }
  /// A row per step; `p` must be the program that the plan was made of.
  std::vector<step_profile> report(const program& p) const;

  /// Runs all steps in one parallel region of `options.threads` threads. `outputs[i]` receives the i-th output of the
  /// program, row-major, maps in `options.output_layout`. Allocates nothing. Returns false if options.interrupted()
  /// returned true, and throws what it throws; the outputs are then unspecified.
  bool run(const image_view<float>& image, std::span<float* const> outputs, const workspace& memory,
           const run_options& options) const;

 private:
  template <class>
  friend struct cpu_plan_builder;
  using operation = std::variant<stem_operation<T>, conv_operation<T>, winograd_operation<T>, pool_operation<T>,
                                 mean_operation, head_operation<T>, export_operation<feature_map_of<T>>>;

  std::shared_ptr<const cpu_weights<T>> weights_;
  std::vector<std::shared_ptr<const packed_weights>> packed_;  ///< what operations_ point to
  std::vector<operation> operations_;                          ///< one for each step, then one for each output
  memory_plan memory_;
  workspace_division division_;
};

#if !BIT_HEADER_ONLY
extern template class cpu_plan<float>;
extern template class cpu_plan<bfloat16>;
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/plan.ipp>
#endif
