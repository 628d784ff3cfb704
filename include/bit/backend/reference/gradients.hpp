// SPDX-License-Identifier: Apache-2.0
// Gradients of a frozen model by the reference backend.
#pragma once

#include <bit/backend/gradients.hpp>
#include <bit/backend/reference/training.hpp>

namespace bit::inline BIT_ABI {
namespace detail {

/// The passes of reference_training_plan over the standardised kernels of a frozen model.
template <class T>
class reference_gradient_plan {
 public:
  using workspace = reference_training_workspace<T>;

  reference_gradient_plan(const training_program& p, std::shared_ptr<const reference_weights<T>> weights)
      : plan_(p, std::move(weights)) {}

  std::size_t workspace_bytes(std::size_t threads) const { return plan_.workspace_bytes(threads); }
  const memory_plan& memory() const { return plan_.memory(); }
  bool forward(const image_view<T>& image, T* logits, workspace& memory, const run_options& options) const {
    return plan_.forward(image, logits, memory, options);
  }
  bool backward(const image_view<T>& image, const T* dlogits, std::span<const gradient_tap<T>> taps, workspace& memory,
                const run_options& options) const {
    return plan_.backward(image, dlogits, 1, taps, memory, options);
  }

 private:
  reference_training_plan<T> plan_;
};

}  // namespace detail

template <class T>
struct gradients_of<reference<T>> {
  using plan = detail::reference_gradient_plan<T>;
  using workspace = typename plan::workspace;
};

static_assert(gradient_backend<reference<float>> && gradient_backend<reference<double>>);

}  // namespace bit::inline BIT_ABI
