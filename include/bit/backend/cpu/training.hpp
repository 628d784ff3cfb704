// Training on the CPU: a training program compiled for one input shape, all of it in one arena.
#pragma once

#include <bit/backend/cpu.hpp>
#include <bit/backend/cpu/head_adjoint.hpp>
#include <bit/backend/cpu/norm_adjoint.hpp>
#include <bit/backend/cpu/stem_adjoint.hpp>
#include <bit/backend/training.hpp>

namespace bit::inline v0 {
namespace detail {

/// The forward and the backward half of a training program. Immutable but for the constants that it shares; one run at
/// a time.
class cpu_training_plan {
 public:
  using workspace = aligned_buffer<std::byte>;

  /// Decides everything that depends on shapes. Throws config_error if a step has no kernel here.
  cpu_training_plan(const training_program& p, std::shared_ptr<cpu_training_constants> constants);

  std::size_t workspace_bytes(std::size_t threads) const {
    return arena_bytes_ + threads * (scratch_bytes_ + sizeof(work_slot));
  }
  const memory_plan& memory() const { return memory_; }

  /// Packs the parameters if they have changed, runs the forward half and writes the logits (n,classes), row-major.
  bool forward(const image_view<float>& image, float* logits, const workspace& memory, const run_options& options);
  /// The backward half of the forward half before it; see training_of.
  bool backward(const image_view<float>& image, const float* dlogits, double scale, std::span<float> image_gradient,
                const workspace& memory, const run_options& options);

 private:
  friend struct cpu_training_builder;
  using operation =
      std::variant<stem_operation<float>, conv_operation<float>, winograd_operation<float>, pool_operation<float>,
                   mean_operation, head_operation<float>, spread_operation, scatter_operation, norm_adjoint_operation,
                   norm_parameters_operation, kernel_adjoint_operation, standardise_adjoint_operation,
                   max_pool_adjoint_operation, stem_kernel_adjoint_operation, image_adjoint_operation,
                   head_adjoint_operation, mean_adjoint_operation>;

  bool run(std::span<const operation> operations, const training_context& context, const workspace& memory,
           const run_options& options) const;

  std::shared_ptr<cpu_training_constants> constants_;
  std::vector<operation> operations_;
  std::size_t forward_operations_ = 0;
  map_place logits_;
  std::size_t images_ = 0, classes_ = 0;
  memory_plan memory_;
  std::size_t arena_bytes_ = 0, scratch_bytes_ = 0;
};

}  // namespace detail

template <>
struct training_of<cpu<float>> {
  /// For the instruction set that BIT_ISA or the CPU decides.
  struct constants : detail::cpu_training_constants {
    explicit constants(std::span<const trainable_parameter<float>> parameters)
        : detail::cpu_training_constants(parameters, detail::default_instruction_set()) {}
  };
  using plan = detail::cpu_training_plan;
  using workspace = typename plan::workspace;
};

static_assert(trainable_backend<cpu<float>>);

}  // namespace bit::inline v0

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/training.ipp>
#endif
