// A program compiled for the CPU and one input shape: operations with every address and split decided, one arena.
#pragma once

#include <bit/backend/cpu/conv.hpp>
#include <bit/backend/cpu/pool.hpp>
#include <bit/backend/cpu/stem.hpp>
#include <bit/backend/cpu/winograd.hpp>
#include <bit/backend/report.hpp>
#include <bit/backend/run.hpp>
#include <bit/program/memory_plan.hpp>
#include <memory>
#include <span>
#include <variant>

namespace bit::inline v0::detail {

/// Copies a value into the caller's memory when everything has run.
struct export_operation {
  feature_map_ref from;  ///< a map, or a table with one row of pixels
  bool table;
  std::size_t images, channels;
  std::size_t output;  ///< which of the caller's outputs
};

/// Maps, kernels and products are of type T; images, tables and outputs are float.
/// Immutable; any number of threads may run it at once, each with a workspace of its own.
template <class T>
class cpu_plan {
 public:
  using value_type = float;
  using workspace = aligned_buffer<std::byte>;

  /// Decides everything that depends on shapes. Throws config_error if a step has no kernel here.
  cpu_plan(const program& p, std::shared_ptr<const cpu_weights<T>> weights);

  /// Bytes that run() needs for `threads` threads.
  std::size_t workspace_bytes(std::size_t threads) const {
    return arena_bytes_ + threads * (scratch_bytes_ + sizeof(work_slot));
  }
  const memory_plan& memory() const { return memory_; }
  /// A row per step; `p` must be the program that the plan was made of.
  std::vector<step_profile> report(const program& p) const;

  /// Runs all steps in one parallel region of `options.threads` threads. `outputs[i]` receives the i-th output of the
  /// program, row-major, maps in `options.output_layout`. Allocates nothing.
  /// Returns false if options.interrupted() said so; the outputs are then unspecified.
  bool run(const image_view<float>& image, std::span<float* const> outputs, const workspace& memory,
           const run_options& options) const;

 private:
  template <class>
  friend struct cpu_plan_builder;
  using operation = std::variant<stem_operation<T>, conv_operation<T>, winograd_operation<T>, pool_operation<T>,
                                 mean_operation, head_operation<T>>;

  template <class From>
  void copy_out(const run_context& run, const export_operation& e, float* to, layout order) const noexcept;

  std::shared_ptr<const cpu_weights<T>> weights_;
  std::vector<std::shared_ptr<const packed_weights>> packed_;  ///< what operations_ point to
  std::vector<operation> operations_;
  std::vector<export_operation> exports_;
  memory_plan memory_;
  std::size_t arena_bytes_ = 0, scratch_bytes_ = 0;
};

#if !BIT_HEADER_ONLY
extern template class cpu_plan<float>;
extern template class cpu_plan<bfloat16>;
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/plan.ipp>
#endif
