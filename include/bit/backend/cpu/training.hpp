// SPDX-License-Identifier: Apache-2.0
// Training on the CPU: a training program compiled for one input shape, all of it in one arena.
#pragma once

#include <bit/backend/cpu/parameters.hpp>
#include <bit/backend/cpu/training_operation.hpp>
#include <bit/backend/training.hpp>
#include <memory>

namespace bit::inline BIT_ABI {
namespace detail {

/// See training_of<cpu<T>>::speed.
template <class T>
training_speed cpu_training_speed(const program& forward, const trainable_parameters<float>& parameters,
                                  std::size_t threads);

/// The forward and the backward pass of a training program; feature maps and products of convolutions are of type T. It
/// is immutable but for the weights that it shares, and serves one run at a time.
template <class T>
class cpu_training_plan {
 public:
  using workspace = aligned_buffer<std::byte>;

  /// Decides everything that depends on shapes. Throws config_error if a step has no operation here, and if the images
  /// make more work items than the queue counts.
  cpu_training_plan(const training_program& p, std::shared_ptr<cpu_training_weights<T>> weights);

  std::size_t workspace_bytes(std::size_t threads) const { return compiled_.division.bytes(threads); }
  const memory_plan& memory() const { return compiled_.memory; }

  /// Packs the parameters if they have changed, runs the forward pass and writes the logits (n,classes), row-major.
  bool forward(const image_view<float>& image, float* logits, const workspace& memory, const run_options& options);
  /// The backward pass of the forward pass before it; see training_of.
  bool backward(const image_view<float>& image, const float* dlogits, double scale,
                std::span<const gradient_tap<float>> taps, const workspace& memory, const run_options& options);

  /// The same for a program from outputs; see recording_backend.
  bool forward_to_outputs(const image_view<float>& image, std::span<float* const> outputs, const workspace& memory,
                          const run_options& options);
  bool backward_from_outputs(const image_view<float>& image, std::span<const float* const> gradients, double scale,
                             std::span<const gradient_tap<float>> taps, const workspace& memory,
                             const run_options& options);

 private:
  std::shared_ptr<cpu_training_weights<T>> weights_;
  compiled_training<T> compiled_;
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

static_assert(recording_backend<cpu<float>> && recording_backend<cpu<bfloat16>>);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/training.ipp>
#include <bit/backend/cpu/training_speed.ipp>
#endif
