// SPDX-License-Identifier: Apache-2.0
// Gradients with respect to feature maps and the image: their values, of a frozen model and of one in training, on every
// backend.
#include <doctest/doctest.h>

#include "tapped_gradients.hpp"

namespace {

using test::frozen_gradients_of, test::logits_gradient, test::norm_error, test::sample_of, test::tap_names,
    test::trained_gradients_of;

std::set<std::string> all_parameters(const bit::resnet_config& config) {
  std::set<std::string> names;
  for (const auto& spec : bit::tensor_specs(config)) names.insert(spec.name);
  return names;
}

}  // namespace

TEST_CASE("reference<double>: gradients at every cut of the network agree with central differences") {
  // Every value with a name cuts the network: what changes before it reaches the logits through it alone. So the change
  // of the logits along a direction of the image is the change of the value times its gradient.
  // Rounding, 1e-16 / 1e-6, times what some dozen layers amplify, and curvature.
  constexpr double h = 1e-6, tolerance = 1e-5;
  using backend = bit::reference<double>;
  std::mt19937 random(5);
  for (int round = 0; round < 3; ++round) {
    const test::sample s = test::random_sample(random);
    CAPTURE(round);
    const auto model =
        bit::resnet_v2<backend>(s.config, test::random_parameters(s.config, static_cast<std::uint32_t>(round)))
            .freeze();
    const auto found = frozen_gradients_of(model, s);
    const bit::tensor4<double> images = xt::cast<double>(test::random_images(s.image, 3)),
                               direction = xt::cast<double>(test::random_images(s.image, 4));
    const bit::tensor4<double> above = images + h * direction, below = images - h * direction;
    const auto weights = logits_gradient<double>(s);
    const bit::matrix<double> up = model(above), down = model(below);
    double expected = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) expected += weights[i] * (up.data()[i] - down.data()[i]) / (2 * h);
    for (const auto& entry : found) {
      const auto& name = entry.first;  // clang 14 captures no structured bindings
      const auto& gradient = entry.second;
      CAPTURE(name);
      bit::tensor4<double> change = direction;
      if (name != "image") change = (model.features(above, name) - model.features(below, name)) / (2 * h);
      double along = 0, norm = 0, length = 0;
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        along += gradient[i] * change.data()[i];
        norm += gradient[i] * gradient[i];
        length += change.data()[i] * change.data()[i];
      }
      const double scale = 1e-3 + std::sqrt(norm * length);
      CHECK(std::abs(along - expected) / scale < tolerance);
      if (std::abs(along) > 0.01 * scale)  // negative control: a hundredth too large is noticed
        CHECK(std::abs(1.01 * along - expected) / scale > tolerance);
    }
  }
}

TEST_CASE("cpu<float>: a frozen model's gradients are reference<double>'s on every instruction set, for any threads") {
  // As in test_trainable_cpu.cpp.
  constexpr double tolerance = 4e-4;
  for (const auto& s : {sample_of(8, {2, 3, 33, 30}), sample_of(20, {3, 3, 20, 47})}) {
    CAPTURE(s.config.stem_channels);
    const auto tensors = test::random_parameters(s.config, 1);
    const auto exact = frozen_gradients_of(bit::resnet_v2<bit::reference<double>>(s.config, tensors).freeze(), s);
    test::sample other = s;
    other.config.group_norm_eps = 1e-1;
    for (const std::string& isa : bit::available_isas()) {
      CAPTURE(isa);
      const test::pinned_isa pin(isa);
      const auto model = bit::resnet_v2<>(s.config, tensors).freeze({.algorithm = bit::algorithm::direct});
      const auto found = frozen_gradients_of(model, s);
      const auto changed = frozen_gradients_of(bit::resnet_v2<>(other.config, tensors).freeze(), other);
      for (const auto& entry : exact) {
        const auto& name = entry.first;  // clang 14 captures no structured bindings
        const auto& gradient = entry.second;
        CAPTURE(name);
        CHECK(norm_error(found.at(name), gradient) < tolerance);
        if (name != "pooled" && name != "features") CHECK(norm_error(changed.at(name), gradient) > tolerance);
      }
      for (const std::size_t threads : {2u, 5u}) CHECK(frozen_gradients_of(model, s, threads) == found);
    }
  }
}

TEST_CASE("cpu<bfloat16> and Winograd's layouts: a frozen model gives the gradients of the same model in training") {
  // Both round alike but for the classifier, which a frozen model keeps in bfloat16, and the layouts of 3x3 kernels: then
  // some ReLUs open by rounding. A missing term is an error of 0.3 and
  // more, as the control shows.
  const test::sample s = sample_of(64, {2, 3, 70, 61});
  const auto tensors = test::random_parameters(s.config, 1);
  const auto check = [&]<class Backend>(Backend, double tolerance) {
    const auto model = bit::resnet_v2<Backend>(s.config, tensors).freeze();
    const auto found = frozen_gradients_of(model, s, 2);
    const auto trained = trained_gradients_of<Backend>(s, tensors, {});
    for (const auto& entry : found) {
      const auto& name = entry.first;  // clang 14 captures no structured bindings
      const auto& gradient = entry.second;
      CAPTURE(name);
      CHECK(norm_error(gradient, trained.at(name)) < tolerance);
      std::vector<float> halved(gradient);
      for (std::size_t i = 0; i < halved.size(); i += 2) halved[i] = 0;
      CHECK(norm_error(halved, trained.at(name)) > tolerance);
    }
    CHECK(frozen_gradients_of(model, s, 3) == found);
  };
  check(bit::cpu<float>{}, 0.01);
  check(bit::cpu<bit::bfloat16>{}, 0.25);
}

TEST_CASE("taps change no other gradient, and are the same with recomputation and when nothing learns") {
  const test::sample s = sample_of(8, {2, 3, 17, 18});
  const auto tensors = test::random_parameters(s.config, 1);
  const auto check = [&]<class Backend>(Backend) {
    const auto full = trained_gradients_of<Backend>(s, tensors, {});
    for (const auto recompute : {bit::recomputation::none, bit::recomputation::units})
      for (const bool learns : {true, false}) {
        bit::training_options how{recompute, {}};
        if (!learns) how.frozen = all_parameters(s.config);
        const auto found = trained_gradients_of<Backend>(s, tensors, how);
        CHECK(found.size() == (learns ? full.size() : tap_names(bit::network(s.config, tensors)).size()));
        for (const auto& entry : found) CHECK_MESSAGE(entry.second == full.at(entry.first), entry.first);
        // Each alone: the pass stops where nothing more is wanted.
        for (const std::string& name : tap_names(bit::network(s.config, tensors)))
          CHECK_MESSAGE(trained_gradients_of<Backend>(s, tensors, how, {name}).at(name) == full.at(name), name);
      }
    const auto scaled = trained_gradients_of<Backend>(s, tensors, {}, {"block4", "image"}, 3.0);
    CHECK(scaled.at("image") == full.at("image"));
    CHECK(scaled.at("block4") == full.at("block4/unit01"));
    const std::string last = "parameter resnet/head/conv2d/bias";
    CHECK(norm_error(scaled.at(last), full.at(last)) == doctest::Approx(2));
  };
  check(bit::cpu<float>{});
  check(bit::cpu<bit::bfloat16>{});
  check(bit::reference<float>{});
}

TEST_CASE("taps come in the layout that was asked for") {
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  const auto check = [&]<class Backend>(Backend) {
    const auto model = bit::resnet_v2<Backend>(s.config, test::random_parameters(s.config, 1)).freeze();
    const auto nchw = frozen_gradients_of(model, s), nhwc = frozen_gradients_of(model, s, 1, bit::layout::nhwc);
    for (const auto& entry : nchw) {
      const auto& name = entry.first;
      const auto& values = entry.second;
      CAPTURE(name);
      const bit::dims4 d = name == "image" ? s.image : model.output_dims(name, s.image);
      bool same = true;
      for (std::size_t n = 0; n < d.n; ++n)
        for (std::size_t c = 0; c < d.c; ++c)
          for (std::size_t p = 0; p < d.h * d.w; ++p)
            same = same && values[(n * d.c + c) * d.h * d.w + p] == nhwc.at(name)[(n * d.h * d.w + p) * d.c + c];
      CHECK(same);
    }
  };
  check(bit::cpu<float>{});
  check(bit::reference<double>{});
}
