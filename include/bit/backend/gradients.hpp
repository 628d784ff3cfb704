// SPDX-License-Identifier: Apache-2.0
// What a backend must give for gradients of a frozen model, beside what concept.hpp lists for inference.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/backend/gradient_tap.hpp>
#include <bit/program/backward.hpp>

namespace bit::inline BIT_ABI {

/// A backend's types for gradients of a frozen model, specialised in backend/<name>/gradients.hpp:
///  - plan(program, weights): a training program of which no parameter learns, compiled for one shape over the weights of
///    the frozen model, which it shares.
///  - plan.forward(image, logits, workspace, options): the forward pass, the same bits as the frozen model's; logits
///    (n,classes), row-major.
///  - plan.backward(image, dlogits, taps, workspace, options): the backward pass in the workspace as forward left it;
///    writes the gradients of the tapped values.
/// Plans are immutable: any number of threads may run one, each with a workspace of its own. Both passes return false if
/// they were interrupted.
template <class B>
struct gradients_of;

template <class B>
concept gradient_backend = backend<B> &&
    requires(const training_program& p, std::shared_ptr<const typename B::weights> weights,
             const typename gradients_of<B>::plan& plan, const image_view<typename B::value_type>& image,
             typename B::value_type* logits, const typename B::value_type* dlogits,
             std::span<const gradient_tap<typename B::value_type>> taps, typename gradients_of<B>::workspace& memory,
             const run_options& options, std::size_t threads) {
  requires std::constructible_from < typename gradients_of<B>::plan,
  const training_program&, decltype(weights) > ;
  requires std::constructible_from<typename gradients_of<B>::workspace, std::size_t>;
  { plan.workspace_bytes(threads) } -> std::same_as<std::size_t>;
  { plan.memory() } -> std::convertible_to<const memory_plan&>;
  { plan.forward(image, logits, memory, options) } -> std::same_as<bool>;
  { plan.backward(image, dlogits, taps, memory, options) } -> std::same_as<bool>;
};

}  // namespace bit::inline BIT_ABI
