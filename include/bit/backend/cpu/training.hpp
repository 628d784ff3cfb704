// Training on the CPU: a training program compiled for one input shape, all of it in one arena.
#pragma once

#include <bit/backend/cpu.hpp>
#include <bit/backend/cpu/backward_weights_pairs.hpp>
#include <bit/backend/cpu/head_backward.hpp>
#include <bit/backend/cpu/norm_backward.hpp>
#include <bit/backend/cpu/parameters.hpp>
#include <bit/backend/cpu/stem_backward.hpp>
#include <bit/backend/training.hpp>
#include <concepts>
#include <type_traits>
#include <variant>

namespace bit::inline v0 {
namespace detail {

template <class T>
struct cpu_training_builder;

/// See training_of<cpu<T>>::speed.
template <class T>
training_speed cpu_training_speed(const program& forward, const trainable_parameters<float>& parameters,
                                  std::size_t threads);

/// The forward and the backward pass of a training program; maps and products of convolutions are of type T. Immutable
/// but for the constants that it shares; one run at a time.
template <class T>
class cpu_training_plan {
 public:
  using workspace = aligned_buffer<std::byte>;

  /// Decides everything that depends on shapes. Throws config_error if a step has no kernel here.
  cpu_training_plan(const training_program& p, std::shared_ptr<cpu_training_weights<T>> weights);

  std::size_t workspace_bytes(std::size_t threads) const {
    return arena_bytes_ + threads * (scratch_bytes_ + sizeof(work_slot));
  }
  const memory_plan& memory() const { return memory_; }

  /// Packs the parameters if they have changed, runs the forward pass and writes the logits (n,classes), row-major.
  bool forward(const image_view<float>& image, float* logits, const workspace& memory, const run_options& options);
  /// The backward pass of the forward pass before it; see training_of.
  bool backward(const image_view<float>& image, const float* dlogits, double scale, std::span<float> image_gradient,
                const workspace& memory, const run_options& options);

 private:
  friend struct cpu_training_builder<T>;
  template <class... More>
  using any_of =
      std::variant<stem_operation<T>, conv_operation<T>, winograd_operation<T>, pool_operation<T>, mean_operation,
                   head_operation<float>, pack_operation<T>, zero_insertion_operation<T>, scatter_operation<T>,
                   norm_backward_operation<T>, norm_parameters_operation, backward_weights_operation<T>,
                   standardise_backward_operation, max_pool_backward_operation<T>, stem_backward_weights_operation,
                   image_backward_operation, head_backward_operation, mean_backward_operation<T>, More...>;
  using operation = std::conditional_t<std::same_as<T, float>, any_of<>, any_of<backward_weights_pairs_operation>>;

  bool run(std::span<const operation> operations, const training_context& context, const workspace& memory,
           const run_options& options) const;

  std::shared_ptr<cpu_training_weights<T>> weights_;
  std::vector<operation> operations_;
  std::size_t forward_operations_ = 0;
  feature_map_ref logits_;
  std::size_t images_ = 0, classes_ = 0;
  memory_plan memory_;
  std::size_t arena_bytes_ = 0, scratch_bytes_ = 0;
};

#if !BIT_HEADER_ONLY
extern template class cpu_training_plan<float>;
extern template class cpu_training_plan<bfloat16>;
extern template training_speed cpu_training_speed<float>(const program&, const trainable_parameters<float>&,
                                                         std::size_t);
extern template training_speed cpu_training_speed<bfloat16>(const program&, const trainable_parameters<float>&,
                                                            std::size_t);
#endif

}  // namespace detail

/// With T = bfloat16 parameters, gradients and all that the optimizer keeps are float; the convolutions' products, there
/// and back, and the maps between them are bfloat16.
template <class T>
struct training_of<cpu<T>> {
  /// For the instruction set that BIT_ISA or the CPU decides.
  struct weights : detail::cpu_training_weights<T> {
    explicit weights(const std::shared_ptr<detail::host_parameters<float>>& parameters)
        : detail::cpu_training_weights<T>(parameters->views(), parameters, detail::default_instruction_set()) {}
  };
  using parameters = detail::host_parameters<float>;
  using logits = detail::host_logits<float>;
  using plan = detail::cpu_training_plan<T>;
  using workspace = typename plan::workspace;

  /// By the network's multiply-adds and the bytes of its maps and parameters, divided by ceilings that are measured at
  /// each call (a quarter of a second, 256 MB) on a machine that should be idle.
  static training_speed speed(const program& forward, const trainable_parameters<float>& parameters,
                              std::size_t threads) {
    return detail::cpu_training_speed<T>(forward, parameters, threads);
  }
};

static_assert(trainable_backend<cpu<float>> && trainable_backend<cpu<bfloat16>>);

}  // namespace bit::inline v0

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/training.ipp>
#include <bit/backend/cpu/training_speed.ipp>
#endif
