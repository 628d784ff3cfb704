// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/training.hpp.
#pragma once

#include <bit/backend/cpu/training.hpp>
#include <bit/backend/cpu/training_builder.ipp>

namespace bit::inline BIT_ABI::detail {

template <class T>
cpu_training_plan<T>::cpu_training_plan(const training_program& p, std::shared_ptr<cpu_training_weights<T>> weights)
    : weights_(std::move(weights)) {
  cpu_training_builder<T>(p, *weights_, compiled_).build_training();
}

template <class T>
bool cpu_training_plan<T>::forward(const image_view<float>& image, float* logits, const workspace& memory,
                                   const run_options& options) {
  weights_->refresh(options.threads);
  return compiled_.run_forward(image, logits, memory, options);
}

template <class T>
bool cpu_training_plan<T>::backward(const image_view<float>& image, const float* dlogits, double scale,
                                    std::span<const gradient_tap<float>> taps, const workspace& memory,
                                    const run_options& options) {
  return compiled_.run_backward(image, dlogits, scale, taps, memory, options);
}

template <class T>
bool cpu_training_plan<T>::forward_to_outputs(const image_view<float>& image, std::span<float* const> outputs,
                                              const workspace& memory, const run_options& options) {
  weights_->refresh(options.threads);
  return compiled_.run_forward_to_outputs(image, outputs, memory, options);
}

template <class T>
bool cpu_training_plan<T>::backward_from_outputs(const image_view<float>& image,
                                                 std::span<const float* const> gradients, double scale,
                                                 std::span<const gradient_tap<float>> taps, const workspace& memory,
                                                 const run_options& options) {
  return compiled_.run_backward_from_outputs(image, gradients, scale, taps, memory, options);
}

}  // namespace bit::inline BIT_ABI::detail
