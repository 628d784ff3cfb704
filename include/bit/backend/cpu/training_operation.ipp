// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/training_operation.hpp.
#pragma once

#include <bit/backend/cpu/run_operations.hpp>
#include <bit/backend/cpu/training_operation.hpp>

namespace bit::inline BIT_ABI::detail {

template <class T>
bool compiled_training<T>::run_forward(const image_view<float>& image, float* to, const workspace& memory_of_run,
                                       const run_options& options) const {
  training_context context{};
  context.image = image;
  const auto forward = std::span<const training_operation<T>>(operations).first(forward_operations);
  if (!run_operations<training_operation<T>>(forward, context, division, memory_of_run, options)) return false;
  const std::byte* arena = division.arena(memory_of_run, options.threads);
  const float* matrix = reinterpret_cast<const float*>(arena + logits.offset);  // [classes/16][images][16]
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t k = 0; k < classes; ++k)
      to[n * classes + k] = matrix[(k / block * images + n) * block + k % block];
  return true;
}

template <class T>
bool compiled_training<T>::run_forward_to_outputs(const image_view<float>& image, std::span<float* const> to,
                                                  const workspace& memory_of_run, const run_options& options) const {
  training_context context{};
  context.image = image;
  context.outputs = to;
  context.output_layout = options.output_layout;
  return run_operations<training_operation<T>>(
      std::span<const training_operation<T>>(operations).first(forward_operations), context, division, memory_of_run,
      options);
}

template <class T>
bool compiled_training<T>::run_backward_in(training_context& context, std::span<const gradient_tap<float>> wanted,
                                           const workspace& memory_of_run, const run_options& options) const {
  const std::vector<float*> tapped = tap_outputs<float>(taps, wanted);
  context.outputs = tapped;
  context.output_layout = options.output_layout;
  return run_operations<training_operation<T>>(
      std::span<const training_operation<T>>(operations).subspan(forward_operations), context, division, memory_of_run,
      options);
}

template <class T>
bool compiled_training<T>::run_backward(const image_view<float>& image, const float* dlogits, double scale,
                                        std::span<const gradient_tap<float>> wanted, const workspace& memory_of_run,
                                        const run_options& options) const {
  training_context context{};
  context.image = image;
  context.dlogits = dlogits;
  context.scale = scale;
  return run_backward_in(context, wanted, memory_of_run, options);
}

template <class T>
bool compiled_training<T>::run_backward_from_outputs(const image_view<float>& image, std::span<const float* const> from,
                                                     double scale, std::span<const gradient_tap<float>> wanted,
                                                     const workspace& memory_of_run, const run_options& options) const {
  training_context context{};
  context.image = image;
  context.scale = scale;
  context.output_gradients = from;
  std::vector<float> zeros;
  if (logits_output) {
    context.dlogits = from[*logits_output];
    if (!context.dlogits) zeros.resize(images * classes);
    if (!context.dlogits) context.dlogits = zeros.data();
  }
  return run_backward_in(context, wanted, memory_of_run, options);
}

}  // namespace bit::inline BIT_ABI::detail
