// SPDX-License-Identifier: Apache-2.0
// Gradients of a frozen model on the CPU, over its packed weights: no parameter is copied and none learns.
#pragma once

#include <bit/backend/cpu/training_operation.hpp>
#include <bit/backend/gradients.hpp>
#include <memory>
#include <vector>

namespace bit::inline BIT_ABI {
namespace detail {

/// The forward pass reads the packed weights that the frozen model's own plans read, in the same layouts. The backward
/// pass needs each kernel transposed: it is made in the arena right before it is read, from the parameter's values in
/// place where they lie in memory or in a mapped file as float32, and from a copy in the arena where they must be read
/// and verified. So beside its feature maps the arena holds one kernel at a time.
template <class T>
class cpu_gradient_plan {
 public:
  using workspace = aligned_buffer<std::byte>;

  /// Decides everything that depends on shapes. Throws config_error if a step has no operation here, and if a parameter
  /// learns.
  cpu_gradient_plan(const training_program& p, std::shared_ptr<const cpu_weights<T>> weights);

  std::size_t workspace_bytes(std::size_t threads) const { return compiled_.division.bytes(threads); }
  const memory_plan& memory() const { return compiled_.memory; }

  bool forward(const image_view<float>& image, float* logits, const workspace& memory,
               const run_options& options) const {
    return compiled_.run_forward(image, logits, memory, options);
  }
  /// Throws what reading a parameter throws.
  bool backward(const image_view<float>& image, const float* dlogits, std::span<const gradient_tap<float>> taps,
                const workspace& memory, const run_options& options) const {
    return compiled_.run_backward(image, dlogits, 1, taps, memory, options);
  }

 private:
  std::shared_ptr<const cpu_weights<T>> weights_;
  std::vector<std::shared_ptr<const packed_weights>> packed_;  ///< what the operations point to
  std::vector<named_tensor> parameters_;                       ///< whose values they read
  compiled_training<T> compiled_;
};

#if !BIT_HEADER_ONLY
extern template class cpu_gradient_plan<float>;
extern template class cpu_gradient_plan<bfloat16>;
#endif

}  // namespace detail

template <class T>
struct gradients_of<cpu<T>> {
  using plan = detail::cpu_gradient_plan<T>;
  using workspace = typename plan::workspace;
};

static_assert(gradient_backend<cpu<float>> && gradient_backend<cpu<bfloat16>>);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/gradients.ipp>
#endif
