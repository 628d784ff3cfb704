// SPDX-License-Identifier: Apache-2.0
// One forward and backward pass over a network's parameters.
#pragma once

#include <pybind11/numpy.h>

#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>

#include "parameter_arrays.hpp"

/// A copy of `net` whose gradients are those of one batch, and the loss. Runs without the GIL.
template <bit::trainable_backend Backend>
struct batch_gradients {
  using T = typename Backend::value_type;
  bit::trainable_resnet_v2<Backend> model;
  double loss;

  batch_gradients(const bit::network& net, const bit::image_view<T>& images, std::span<const double> targets,
                  const bit::run_options& options)
      : model(net.config(), net.parameters()), loss(0) {
    const std::size_t wanted = images.dims.n * net.config().num_classes;
    if (targets.size() != wanted)
      throw bit::shape_error("[gradients] expected " + std::to_string(images.dims.n) + " rows of " +
                             std::to_string(net.config().num_classes) + " probabilities, got " +
                             std::to_string(targets.size()) + " values");
    loss = model.accumulate(images, bit::cross_entropy{.probabilities = targets}, 1.0, {}, options);
  }

  /// (official name, gradient in the official layout) of every parameter; needs the GIL.
  pybind11::list list() const { return arrays_of<T>(model.parameters(), bit::parameter_array::gradients); }
};
