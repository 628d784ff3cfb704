// SPDX-License-Identifier: Apache-2.0
// Whole small networks, cpu<float> on every instruction set against reference<double>, on random architectures.
#include <doctest/doctest.h>
#include <bit/reference.hpp>

#include "random_networks.hpp"

namespace {

// Twelve to twenty-four convolutions deep: measured errors stay below 5e-6 of the largest logit.
constexpr double tolerance = 2e-5;

}  // namespace

TEST_CASE("random architectures agree with reference<double> on every instruction set, outputs and layout") {
  std::mt19937 random(17);
  for (int round = 0; round < 25; ++round) {
    const test::sample s = test::random_sample(random);
    const auto tensors = test::random_parameters(s.config, static_cast<std::uint32_t>(round));
    const auto images = test::random_images(s.image, static_cast<std::uint32_t>(round));
    const bit::tensor4<double> exact_images = images;
    const auto exact = bit::resnet_v2<bit::reference<double>>(s.config, tensors).freeze();
    const auto expected = exact(exact_images);
    const auto expected_map = exact.features(exact_images, "block3");
    for (const std::string& isa : bit::available_isas()) {
      CAPTURE(round);
      CAPTURE(isa);
      const test::pinned_isa pin(isa);
      const auto model = bit::resnet_v2<>(s.config, tensors).freeze();
      CHECK(test::relative_error(model(images), expected) < tolerance);
      CHECK(test::relative_error(model.features(images, "block3"), expected_map) < tolerance);
      const bit::tensor4<float> channels_last = xt::transpose(images, {0, 2, 3, 1});
      CHECK(model(channels_last, bit::layout::nhwc) == model(images));
    }
  }
}

TEST_CASE("the tolerance notices the wrong padding of the pool and a missing eps") {
  // Other mathematics, same parameters: timm's eps in place of the release's changes logits by more than rounding does
  // as soon as filters are small (here variance 1e-8).
  bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 8, .num_classes = 5, .groups = 2};
  std::mt19937 random(1);
  std::vector<bit::named_tensor> tensors;
  for (const bit::tensor_spec& spec : bit::tensor_specs(config))
    tensors.push_back(
        test::random_tensor(spec.name, spec.shape, random, spec.name.ends_with("gamma") ? 1.0f : 0.0f,
                            spec.shape.size() == 4 && spec.name.find("head") == std::string::npos ? 1e-4f : 0.5f));
  const auto images = test::random_images({1, 3, 33, 31}, 4);
  const auto expected = bit::resnet_v2<bit::reference<float>>(config, tensors).freeze()(images);
  CHECK(test::relative_error(bit::resnet_v2<>(config, tensors).freeze()(images), expected) < tolerance);
  config.weight_eps = 1e-8;
  CHECK(test::relative_error(bit::resnet_v2<>(config, tensors).freeze()(images), expected) > tolerance);
}

TEST_CASE("feature taps: every named output has its size, and taps change no logit") {
  const bit::resnet_config config{.units = {1, 2, 1, 1}, .stem_channels = 32, .num_classes = 10};
  const bit::network net(config, bit::random_tensors(config, 3));
  const bit::frozen_resnet_v2<bit::cpu<float>> model(net);
  const bit::frozen_resnet_v2<bit::reference<float>> plain(net);
  const auto images = test::random_images({2, 3, 65, 40}, 8);
  const auto logits = model(images);
  for (const std::string& name : net.output_names()) {
    CAPTURE(name);
    CHECK(test::relative_error(model.features(images, name), plain.features(images, name)) < tolerance);
  }
  const std::string names[] = {"stem", "logits", "block2/unit01", "pooled"};
  std::vector<std::vector<float>> memory;
  std::vector<float*> pointers;
  for (const std::string& name : names) memory.emplace_back(model.output_dims(name, {2, 3, 65, 40}).size());
  for (auto& m : memory) pointers.push_back(m.data());
  model.run(bit::view_of(images.data(), {2, 3, 65, 40}, bit::layout::nchw), names, pointers);
  CHECK(std::equal(memory[1].begin(), memory[1].end(), logits.begin()));
}

TEST_CASE("the classifier alone gives the same logits from features and from pooled features") {
  const bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 37};
  const auto model = bit::resnet_v2<>(config, 3).freeze();
  const auto images = test::random_images({3, 3, 40, 40}, 8);
  const auto logits = model(images);
  for (const char* name : {"features", "pooled"}) {
    const auto features = model.features(images, name);
    auto again = bit::matrix<float>::from_shape({3, 37});
    model.run_head(bit::view_of(features.data(), bit::dims_of(features.shape(), bit::layout::nchw), bit::layout::nchw),
                   false, again.data());
    CHECK(test::relative_error(again, logits) < 1e-6);  // the mean is rounded to float once more
  }
}
