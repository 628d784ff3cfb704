// What a backend must give to train the network, beside what concept.hpp lists for inference.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/backend/gradient_tap.hpp>
#include <bit/program/backward.hpp>
#include <bit/program/trainable_parameter.hpp>

namespace bit::inline v0 {

/// A backend's training types, specialised in backend/<name>/training.hpp so that inference does not pay for them:
///  - constants(parameters): what is derived from the parameters' values; changed() says that these are new; bytes(threads)
///    is what it takes, or will once the plans that have been made of it have run.
///  - plan(program, constants): a training program compiled for one shape.
///  - plan.forward(image, logits, workspace, options): the forward pass; logits (n,classes), row-major.
///  - plan.backward(image, dlogits, scale, taps, workspace, options): adds scale·gradient to every parameter's
///    gradient and writes those of the tapped values, not scaled; the workspace is as forward left it.
/// Both passes return false if they were interrupted. One caller at a time.
template <class B>
struct training_of;

template <class B>
concept trainable_backend = backend<B> &&
    requires(const training_program& p, std::span<const trainable_parameter<typename B::value_type>> parameters,
             std::shared_ptr<typename training_of<B>::weights> weights, typename training_of<B>::plan& plan,
             const image_view<typename B::value_type>& image, typename B::value_type* out,
             const typename B::value_type* gradient, std::span<const gradient_tap<typename B::value_type>> taps,
             typename training_of<B>::workspace& memory, const run_options& options, std::size_t threads) {
  requires std::constructible_from < typename training_of<B>::weights,
  decltype(parameters) > ;
  requires std::constructible_from < typename training_of<B>::plan,
  const training_program&, decltype(weights) > ;
  requires std::constructible_from<typename training_of<B>::workspace, std::size_t>;
  weights->changed();
  { weights->bytes(threads) } -> std::same_as<std::size_t>;
  { plan.workspace_bytes(threads) } -> std::same_as<std::size_t>;
  { plan.memory() } -> std::convertible_to<const memory_plan&>;
  { plan.forward(image, out, memory, options) } -> std::same_as<bool>;
  { plan.backward(image, gradient, 1.0, taps, memory, options) } -> std::same_as<bool>;
};

}  // namespace bit::inline v0
