// SPDX-License-Identifier: Apache-2.0
// What a backend must give to train the network, beside what concept.hpp lists for inference.
#pragma once

#include <bit/backend/concept.hpp>
#include <bit/backend/gradient_tap.hpp>
#include <bit/backend/loss.hpp>
#include <bit/backend/trainable_parameters.hpp>
#include <bit/program/backward.hpp>
#include <vector>

namespace bit::inline BIT_ABI {

/// Predicted seconds of training on this machine.
struct training_speed {
  double image = 0;      ///< one image there and back
  double inference = 0;  ///< one image forwards only
  double update = 0;     ///< what comes once a step: packing the parameters, the optimizer's update
};

/// A backend's training types, specialised in backend/<name>/training.hpp so that inference does not pay for them. All
/// memory of a step is the backend's own; images are read from host memory, and what comes out is copied there.
///  - parameters(tensors): values, gradients and optimizer state, a trainable_parameters. without_memory(specs) makes one
///    whose values are never read, for plans that are made to be measured.
///  - constants(parameters): what is derived from the parameters' values, made anew when their version has changed;
///    bytes(threads) is what it takes, or will once the plans that have been made of it have run.
///  - logits: resize(n, classes) makes room for the logits of a batch and their gradient, evaluate(loss, weight) computes
///    the loss and weight·dloss/dlogits there, read_logits and write_gradient copy (n,classes), row-major, to and from the
///    host. logits() and gradient() are addresses in the backend's memory, which only plans read.
///  - plan(program, constants): a training program compiled for one shape.
///  - plan.forward(image, logits.logits(), workspace, options): the forward pass.
///  - plan.backward(image, logits.gradient(), scale, taps, workspace, options): adds scale·gradient to every parameter's
///    gradient and writes those of the tapped values, not scaled; the workspace is as forward left it.
///  - speed(program, parameters, threads): predicted seconds; the program is the forward pass for one image.
/// Both passes return false if they were interrupted. One caller at a time.
template <class B>
struct training_of;

template <class B>
concept trainable_backend = backend<B> &&
    requires(const training_program& p, const program& forward, std::span<const named_tensor> tensors,
             std::vector<tensor_spec> specs, std::shared_ptr<typename training_of<B>::parameters> parameters,
             std::shared_ptr<typename training_of<B>::weights> weights, typename training_of<B>::plan& plan,
             typename training_of<B>::logits& logits, const image_view<typename B::value_type>& image,
             std::span<typename B::value_type> out, std::span<const typename B::value_type> in, const loss& what,
             std::span<const gradient_tap<typename B::value_type>> taps, typename training_of<B>::workspace& memory,
             const run_options& options, std::size_t threads) {
  requires std::derived_from<typename training_of<B>::parameters, trainable_parameters<typename B::value_type>>;
  requires std::constructible_from < typename training_of<B>::parameters,
  decltype(tensors) > ;
  { training_of<B>::parameters::without_memory(specs) } -> std::same_as<decltype(parameters)>;
  requires std::constructible_from < typename training_of<B>::weights,
  decltype(parameters) > ;
  requires std::constructible_from < typename training_of<B>::plan,
  const training_program&, decltype(weights) > ;
  requires std::constructible_from<typename training_of<B>::workspace, std::size_t>;
  requires std::default_initializable<typename training_of<B>::logits>;
  { weights->bytes(threads) } -> std::same_as<std::size_t>;
  { plan.workspace_bytes(threads) } -> std::same_as<std::size_t>;
  { plan.memory() } -> std::convertible_to<const memory_plan&>;
  logits.resize(std::size_t{1}, std::size_t{1});
  { logits.evaluate(what, 1.0) } -> std::same_as<double>;
  logits.read_logits(out);
  logits.write_gradient(in);
  { plan.forward(image, logits.logits(), memory, options) } -> std::same_as<bool>;
  { plan.backward(image, logits.gradient(), 1.0, taps, memory, options) } -> std::same_as<bool>;
  { training_of<B>::speed(forward, *parameters, threads) } -> std::same_as<training_speed>;
};

/// A backend that takes the two passes of a program from outputs (with_backward_from_outputs) at different times:
///  - plan.forward_to_outputs(image, outputs, workspace, options): the forward pass; outputs[i] receives output i, matrices
///    as (n,c), row-major, feature maps in options.output_layout, nothing where it is null.
///  - plan.backward_from_outputs(image, gradients, scale, taps, workspace, options): the backward pass from the outputs'
///    gradients, laid out alike; null stands for zeros. The workspace is as the forward pass left it, and the image is
///    that of the forward pass.
/// A plan may have any number of forward passes whose backward pass is to come, each in a workspace of its own. Both
/// return false if they were interrupted. One caller at a time.
template <class B>
concept recording_backend = trainable_backend<B> &&
    requires(typename training_of<B>::plan& plan, const image_view<typename B::value_type>& image,
             std::span<typename B::value_type* const> outputs, std::span<const typename B::value_type* const> gradients,
             std::span<const gradient_tap<typename B::value_type>> taps, typename training_of<B>::workspace& memory,
             const run_options& options) {
  { plan.forward_to_outputs(image, outputs, memory, options) } -> std::same_as<bool>;
  { plan.backward_from_outputs(image, gradients, 1.0, taps, memory, options) } -> std::same_as<bool>;
};

}  // namespace bit::inline BIT_ABI
