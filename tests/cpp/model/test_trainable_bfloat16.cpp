// SPDX-License-Identifier: Apache-2.0
// trainable_resnet_v2<cpu<bfloat16>> on every instruction set against reference<double>. Rounding to 8 bits opens and closes
// a per cent of the ReLUs, which alone is an error of ten per cent and more in deep layers' gradients, in any
// implementation; so these networks keep every pre-activation away from zero, half of the channels open, half closed.
#include <doctest/doctest.h>
#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>

#include "../backend/batch_loss.hpp"
#include "../backend/random_networks.hpp"

namespace {

/// Scales of 0.2 around shifts of +1 and -1: normalised values beyond 5 do not occur.
std::vector<bit::named_tensor> decided_parameters(const bit::resnet_config& config, std::uint32_t seed) {
  auto tensors = test::random_parameters(config, seed);
  std::mt19937 random(seed);
  for (bit::named_tensor& t : tensors) {
    const bool gamma = t.name.ends_with("gamma"), beta = t.name.ends_with("beta");
    if (!gamma && !beta) continue;
    std::vector<float> values(t.shape.front());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = std::uniform_real_distribution<float>(0.1f, 0.2f)(random);
      if (beta) values[i] += i % 2 == 0 ? 1.0f : -1.2f;
    }
    t.data = std::make_shared<test::stored_values>(values);
  }
  return tensors;
}

/// One step: the loss, and all gradients, the image's last.
template <class Backend>
struct step {
  using T = typename Backend::value_type;
  double loss = 0;
  std::vector<std::string> names;
  std::vector<std::vector<T>> gradients;

  step(const test::sample& s, const std::vector<bit::named_tensor>& tensors, std::size_t threads = 1) {
    bit::trainable_resnet_v2<Backend> model(s.config, tensors);
    const bit::tensor4<T> images = xt::cast<T>(test::random_images(s.image, 3));
    std::vector<T> image_gradient(images.size());
    const bit::named_tap<T> tap{"image", image_gradient};
    std::vector<std::size_t> labels(s.image.n);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = i % s.config.num_classes;
    bit::run_options options;
    options.threads = threads;
    loss = model.accumulate(bit::view_of(images.data(), s.image, bit::layout::nchw), test::cross_entropy<T>(labels),
                            1.0, std::span(&tap, 1), options);
    for (const auto& p : model.parameters()) {
      names.push_back(p.name);
      gradients.emplace_back(p.gradient.begin(), p.gradient.end());
    }
    names.emplace_back("image");
    gradients.push_back(std::move(image_gradient));
  }
  bool operator==(const step& other) const { return loss == other.loss && gradients == other.gradients; }
};

/// How far a gradient is off, over its norm, and how much too long it is along the true one: errors of rounding have no
/// direction, so the second is far smaller, and a wrong factor is all of both.
struct gradient_error {
  double distance = 0, length = 0;
};

template <class A>
gradient_error error_of(const A& got, const std::vector<double>& exact) {
  double difference = 0, norm = 0, along = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double value = static_cast<double>(got[i]);
    difference += (value - exact[i]) * (value - exact[i]);
    norm += exact[i] * exact[i];
    along += value * exact[i];
  }
  if (norm < 1e-12) return {std::sqrt(difference), 0};
  return {std::sqrt(difference / norm), std::abs(along / norm - 1)};
}

test::sample sample_of(std::size_t stem, bit::dims4 image) {
  test::sample s;
  s.config = {.units = {1, 2, 1, 1}, .stem_channels = stem, .num_classes = 7, .groups = 4};
  s.image = image;
  return s;
}

// Thirty roundings to 2^-9 there and back: measured up to 0.013 and 0.008 by products of pairs, 0.025 and 0.011
// where Winograd's tiles of 4x4 take gradients back.
constexpr double largest_distance = 0.03, largest_length = 0.02;

}  // namespace

TEST_CASE("bfloat16 gradients follow reference<double> on every instruction set, and are the same for 1 to 4 threads") {
  for (const auto& s : {sample_of(32, {3, 3, 65, 62}), sample_of(20, {2, 3, 47, 90}), sample_of(64, {4, 3, 70, 61})}) {
    const auto tensors = decided_parameters(s.config, 1);
    const step<bit::reference<double>> exact(s, tensors);
    for (const std::string& isa : bit::available_isas()) {
      CAPTURE(isa);
      CAPTURE(s.config.stem_channels);
      const test::pinned_isa pin(isa);
      const step<bit::cpu<bit::bfloat16>> got(s, tensors);
      CHECK(got.loss == doctest::Approx(exact.loss).epsilon(1e-3));
      for (std::size_t i = 0; i < exact.names.size(); ++i) {
        CAPTURE(exact.names[i]);
        const auto error = error_of(got.gradients[i], exact.gradients[i]);
        CHECK(error.distance < largest_distance);
        CHECK(error.length < largest_length);
      }
      if (s.config.stem_channels != 20) continue;
      for (const std::size_t threads : {2u, 3u, 4u}) CHECK(step<bit::cpu<bit::bfloat16>>(s, tensors, threads) == got);
    }
  }
}

TEST_CASE("the bounds notice one layer that is wrong by a twentieth") {
  const auto s = sample_of(20, {2, 3, 47, 90});
  auto tensors = decided_parameters(s.config, 1);
  const step<bit::reference<double>> exact(s, tensors);
  const std::string layer = "resnet/block2/unit02/c/";
  for (bit::named_tensor& t : tensors) {
    if (!t.name.starts_with(layer) || t.shape.size() > 1) continue;  // gamma and beta: what its kernel reads
    std::vector<float> values(t.shape.front());
    t.data->read(values);
    for (float& v : values) v *= 1.05f;
    t.data = std::make_shared<test::stored_values>(values);
  }
  const step<bit::cpu<bit::bfloat16>> changed(s, tensors);
  for (std::size_t i = 0; i < exact.names.size(); ++i)
    if (exact.names[i].starts_with(layer + "standardized"))
      CHECK(error_of(changed.gradients[i], exact.gradients[i]).distance > largest_distance);
}

TEST_CASE("what a bfloat16 model learns stays in float32: a step far below bfloat16's spacing counts") {
  const auto s = sample_of(20, {2, 3, 20, 30});
  bit::trainable_resnet_v2<bit::cpu<bit::bfloat16>> model(s.config, test::random_parameters(s.config, 1));
  const auto& first = model.parameters().front();
  const float before = first.value[0];
  model.parameters().change_values(0, [&](std::span<float> values) { values[0] += before * 1e-5f; });
  CHECK(first.value[0] != before);
  CHECK(static_cast<float>(bit::bfloat16(first.value[0])) == static_cast<float>(bit::bfloat16(before)));
  std::vector<float> stored(first.value.size());
  model.network().parameters().front().data->read(std::span<float>(stored));
  CHECK(stored[0] == first.value[0]);
}

TEST_CASE("maps of bfloat16 take half the memory: the arena is less than three quarters of float's") {
  const auto s = sample_of(64, {4, 3, 128, 128});
  const auto tensors = test::random_parameters(s.config, 1);
  bit::trainable_resnet_v2<bit::cpu<float>> wide(s.config, tensors);
  bit::trainable_resnet_v2<bit::cpu<bit::bfloat16>> narrow(s.config, tensors);
  // The stem's map before its pool stays in float: much of so small a network (R50x1 at 128²: 0.56).
  CHECK(static_cast<double>(narrow.memory(s.image, 1).arena) <
        0.75 * static_cast<double>(wide.memory(s.image, 1).arena));
}
