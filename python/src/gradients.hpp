// One forward and backward pass over a network's parameters.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <bit/backend/cpu/training.hpp>
#include <bit/backend/reference/training.hpp>
#include <bit/model/trainable.hpp>
#include <cmath>

/// Mean softmax cross-entropy of probabilities (n,classes).
template <class T>
struct probability_loss final : bit::loss_function<T> {
  std::span<const double> targets;
  explicit probability_loss(std::span<const double> of) : targets(of) {}

  double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                    std::size_t classes) const override {
    double loss = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto row = logits.subspan(i * classes, classes);
      const auto target = targets.subspan(i * classes, classes);
      const auto largest = static_cast<double>(*std::max_element(row.begin(), row.end()));
      double sum = 0, mass = 0;
      for (const T x : row) sum += std::exp(static_cast<double>(x) - largest);
      for (const double t : target) mass += t;
      const double log_sum = largest + std::log(sum);
      for (std::size_t c = 0; c < classes; ++c) {
        const double log_p = static_cast<double>(row[c]) - log_sum;
        loss -= target[c] * log_p;
        gradient[i * classes + c] = static_cast<T>((mass * std::exp(log_p) - target[c]) / static_cast<double>(n));
      }
    }
    return loss / static_cast<double>(n);
  }
};

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
    loss = model.accumulate(images, probability_loss<T>(targets), 1.0, {}, options);
  }

  /// (official name, gradient in the official layout) of every parameter; needs the GIL.
  pybind11::list list() const {
    pybind11::list all;
    for (const auto& p : model.parameters()) {
      pybind11::array_t<T> values(p.shape);
      std::copy(p.gradient.begin(), p.gradient.end(), values.mutable_data());
      all.append(pybind11::make_tuple(p.name, values));
    }
    return all;
  }
};
