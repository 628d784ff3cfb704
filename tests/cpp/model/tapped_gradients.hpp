// SPDX-License-Identifier: Apache-2.0
// Gradients of tapped values by a frozen model and by one in training, as the tests of gradient taps compare them.
#pragma once

#include <doctest/doctest.h>
#include <bit/gradients.hpp>
#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "../backend/batch_loss.hpp"
#include "../backend/random_networks.hpp"

namespace test {

template <class T>
using gradients = std::map<std::string, std::vector<T>>;

/// All that can be tapped, each value once: a block's name is that of its last unit's map.
inline std::vector<std::string> tap_names(const bit::network& net) {
  std::vector<std::string> names{"image"};
  for (const std::string& name : net.output_names())
    if (name != "logits" && (!name.starts_with("block") || name.find('/') != std::string::npos)) names.push_back(name);
  return names;
}

/// What is differentiated: the sum of the logits times these.
template <class T>
std::vector<T> logits_gradient(const sample& s) {
  const auto random = random_images({s.image.n, s.config.num_classes, 1, 1}, 7);
  return {random.begin(), random.end()};
}

template <class T>
gradients<T> room_for(const bit::network& net, const bit::dims4& images, const std::vector<std::string>& names) {
  gradients<T> room;
  for (const std::string& name : names) {
    const bit::program p = net.emit(images, std::span(&name, name == "image" ? 0 : 1));
    const std::size_t size = name == "image" ? images.size() : p[p.outputs.front()].dims.size();
    room[name].assign(size, std::numeric_limits<T>::quiet_NaN());  // written, not added to
  }
  return room;
}

template <class T>
std::vector<bit::named_tap<T>> taps_into(gradients<T>& room) {
  std::vector<bit::named_tap<T>> taps;
  for (auto& [name, values] : room) taps.push_back({name, values});
  return taps;
}

template <class Backend>
gradients<typename Backend::value_type> frozen_gradients_of(const bit::frozen_resnet_v2<Backend>& model,
                                                            const sample& s, std::size_t threads = 1,
                                                            bit::layout order = bit::layout::nchw) {
  using T = typename Backend::value_type;
  const bit::tensor4<T> images = xt::cast<T>(random_images(s.image, 3));
  auto room = room_for<T>(model.network(), s.image, tap_names(model.network()));
  const auto taps = taps_into(room);
  std::vector<T> logits(s.image.n * s.config.num_classes);
  const std::vector<T> gradient = logits_gradient<T>(s);
  bit::run_options options;
  options.threads = threads;
  options.output_layout = order;
  const bit::frozen_gradients<Backend> explain(model);
  explain(bit::view_of(images.data(), s.image, bit::layout::nchw), std::span<const T>(gradient), taps, logits, options);
  const bit::matrix<T> expected = model(images);
  CHECK(std::equal(logits.begin(), logits.end(), expected.begin()));  // the same forward pass
  return room;
}

/// The loss whose gradient the frozen models are given.
template <class T>
struct weighted_sum final : bit::loss_function<T> {
  std::vector<T> weights;
  double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t, std::size_t) const override {
    std::copy(weights.begin(), weights.end(), gradient.begin());
    return static_cast<double>(std::inner_product(logits.begin(), logits.end(), weights.begin(), T(0)));
  }
};

template <class Backend>
gradients<typename Backend::value_type> trained_gradients_of(const sample& s,
                                                             const std::vector<bit::named_tensor>& tensors,
                                                             const bit::training_options& how,
                                                             std::vector<std::string> names = {}, double scale = 1) {
  using T = typename Backend::value_type;
  bit::trainable_resnet_v2<Backend> model(s.config, tensors);
  model.set_training(how);
  if (names.empty()) names = tap_names(model.network());
  const bit::tensor4<T> images = xt::cast<T>(random_images(s.image, 3));
  auto room = room_for<T>(model.network(), s.image, names);
  const auto taps = taps_into(room);
  weighted_sum<T> loss;
  loss.weights = logits_gradient<T>(s);
  bit::run_options options;
  options.threads = 2;
  model.accumulate(bit::view_of(images.data(), s.image, bit::layout::nchw), loss, scale, taps, options);
  for (const auto& p : model.parameters())
    if (!p.gradient.empty()) room["parameter " + p.name].assign(p.gradient.begin(), p.gradient.end());
  return room;
}

template <class A, class B>
double norm_error(const A& a, const B& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    if (!std::isfinite(d)) return HUGE_VAL;
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-6);
}

inline sample sample_of(std::size_t stem, bit::dims4 image) {
  sample s;
  s.config = {.units = {1, 2, 1, 1}, .stem_channels = stem, .num_classes = 7, .groups = 4};
  s.image = image;
  return s;
}

}  // namespace test
