// SPDX-License-Identifier: Apache-2.0
// trainable_resnet_v2<cpu<float>> on every instruction set against reference<double>, on small awkward networks.
#include <doctest/doctest.h>
#include <bit/model/trainable_cpu.hpp>
#include <bit/reference.hpp>

#include "../backend/batch_loss.hpp"
#include "../backend/random_networks.hpp"

namespace {

std::vector<std::size_t> labels_for(const test::sample& s) {
  std::vector<std::size_t> labels(s.image.n);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = i % s.config.num_classes;
  return labels;
}

/// One step: the loss, and all gradients, the image's last.
template <class Backend>
struct step {
  using T = typename Backend::value_type;
  double loss = 0;
  std::vector<std::string> names;
  std::vector<std::vector<T>> gradients;

  step(bit::trainable_resnet_v2<Backend>& model, const test::sample& s, std::size_t threads) {
    const bit::tensor4<T> images = xt::cast<T>(test::random_images(s.image, 3));
    std::vector<T> image_gradient(images.size());
    const bit::named_tap<T> tap{"image", image_gradient};
    bit::run_options options;
    options.threads = threads;
    model.zero_gradients();
    loss = model.accumulate(bit::view_of(images.data(), s.image, bit::layout::nchw),
                            test::cross_entropy<T>(labels_for(s)), 1.0, std::span(&tap, 1), options);
    for (const auto& p : model.parameters()) {
      names.push_back(p.name);
      gradients.emplace_back(p.gradient.begin(), p.gradient.end());
    }
    names.emplace_back("image");
    gradients.push_back(std::move(image_gradient));
  }
  bool operator==(const step& other) const { return loss == other.loss && gradients == other.gradients; }
};

template <class Backend>
step<Backend> step_of(const test::sample& s, std::uint32_t seed, std::size_t threads = 1) {
  bit::trainable_resnet_v2<Backend> model(s.config, test::random_parameters(s.config, seed));
  return step<Backend>(model, s, threads);
}

/// |a - b| / |b|, Euclidean; |a| where b is as good as zero.
template <class A, class B>
double norm_error(const A& a, const B& b, double floor) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    if (!std::isfinite(d)) return HUGE_VAL;
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), floor);
}

// Twelve to twenty-four convolutions there and back: measured up to 8e-5 of a gradient's norm, where its terms nearly
// cancel. A ReLU that opens by rounding would be an error of 1e-2 and more; these seeds have none.
constexpr double tolerance = 4e-4;

test::sample sample_of(std::size_t stem, bit::dims4 image) {
  test::sample s;
  s.config = {.units = {1, 1, 1, 1}, .stem_channels = stem, .num_classes = 7, .groups = 4};
  s.image = image;
  return s;
}

}  // namespace

TEST_CASE("gradients agree with reference<double> on every instruction set, and are the same for 1 to 4 threads") {
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    const test::sample s = test::random_sample(random);
    const auto seed = static_cast<std::uint32_t>(round);
    const auto expected = step_of<bit::reference<double>>(s, seed);
    for (const std::string& isa : bit::available_isas()) {
      CAPTURE(round);
      CAPTURE(isa);
      const test::pinned_isa pin(isa);
      const auto got = step_of<bit::cpu<float>>(s, seed);
      CHECK(got.loss == doctest::Approx(expected.loss).epsilon(1e-5));
      for (std::size_t i = 0; i < expected.names.size(); ++i) {
        CAPTURE(expected.names[i]);
        CHECK(norm_error(got.gradients[i], expected.gradients[i], 1e-6) < tolerance);
      }
      for (const std::size_t threads : {2u, 3u, 4u}) CHECK(step_of<bit::cpu<float>>(s, seed, threads) == got);
    }
  }
}

TEST_CASE("the tolerance notices a missing gradient term and another eps") {
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  const auto expected = step_of<bit::reference<double>>(s, 1);
  const auto got = step_of<bit::cpu<float>>(s, 1);
  test::sample other = s;
  other.config.group_norm_eps = 1e-1;
  const auto changed = step_of<bit::cpu<float>>(other, 1);
  for (std::size_t i = 0; i < expected.names.size(); ++i) {
    CAPTURE(expected.names[i]);
    CHECK(norm_error(got.gradients[i], expected.gradients[i], 1e-6) < tolerance);
    if (i + 2 < expected.names.size()) CHECK(norm_error(changed.gradients[i], expected.gradients[i], 1e-6) > tolerance);
  }
}

TEST_CASE("wide layers take Winograd's forms there and back, with the same gradients") {
  const test::sample s = sample_of(64, {2, 3, 70, 61});
  const auto expected = step_of<bit::reference<double>>(s, 1);
  for (const std::string& isa : bit::available_isas()) {
    CAPTURE(isa);
    const test::pinned_isa pin(isa);
    const auto got = step_of<bit::cpu<float>>(s, 1);
    for (std::size_t i = 0; i < expected.names.size(); ++i) {
      CAPTURE(expected.names[i]);
      CHECK(norm_error(got.gradients[i], expected.gradients[i], 1e-6) < tolerance);
    }
    CHECK(step_of<bit::cpu<float>>(s, 1, 3) == got);
  }
}

TEST_CASE("new values count from the next call on, for gradients and logits, without a word") {
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  bit::trainable_resnet_v2<bit::cpu<float>> model(s.config, test::random_parameters(s.config, 1));
  const step<bit::cpu<float>> before(model, s, 2);
  CHECK(step<bit::cpu<float>>(model, s, 2) == before);
  bit::trainable_resnet_v2<bit::cpu<float>> other(s.config, test::random_parameters(s.config, 2));
  for (std::size_t i = 0; i < model.parameters().size(); ++i)
    model.parameters().write(bit::parameter_array::values, i, other.parameters()[i].value);
  CHECK(step<bit::cpu<float>>(model, s, 2) == step<bit::cpu<float>>(other, s, 1));
  CHECK(!(step<bit::cpu<float>>(model, s, 2) == before));
}

TEST_CASE("a loop of gradients and updates learns, whatever is frozen after the optimizer was made") {
  const test::sample s = sample_of(8, {3, 3, 33, 30});
  bit::trainable_resnet_v2<bit::cpu<float>> model(s.config, test::random_parameters(s.config, 1));
  const auto images = test::random_images(s.image, 3);
  const auto view = bit::view_of(images.data(), s.image, bit::layout::nchw);
  const std::vector<std::int64_t> labels{0, 1, 2};
  const std::vector<bit::parameter_rule> rules(model.parameters().size());
  const auto state = model.parameters().make_state(1, rules);
  const auto step = [&] {
    model.zero_gradients();
    const double loss = model.accumulate(view, bit::cross_entropy{labels});
    model.parameters().update(bit::sgd_hyperparameters{.rate = 0.01, .momentum = 0.9}, rules, *state, 0);
    return loss;
  };
  double last = step();
  for (int i = 0; i < 4; ++i) {
    const double next = step();
    CHECK(next < last);
    last = next;
  }
  const auto stem = model.parameters().values(0);
  const std::string stem_name = model.parameters().front().name;
  model.set_training({.frozen = {stem_name}});
  CHECK(model.training().frozen == std::set<std::string>{stem_name});
  const double frozen = step();
  CHECK(frozen < last);
  CHECK(model.parameters().values(0) == stem);
  model.parameters().freeze({});  // the model follows
  CHECK(model.training().frozen.empty());
  CHECK(step() < frozen);
  CHECK(model.parameters().values(0) != stem);
}

TEST_CASE("a backend's loss and the same loss as the caller's own give the same gradients to the bit") {
  const test::sample s = sample_of(8, {2, 3, 33, 30});
  struct own_loss final : bit::loss_function<float> {
    std::vector<std::int64_t> labels{1, 5};
    double operator()(std::span<const float> logits, std::span<float> gradient, std::size_t n,
                      std::size_t classes) const override {
      return bit::evaluate_loss<float>(bit::cross_entropy{labels}, logits, gradient, n, classes);
    }
  } own;
  const auto images = test::random_images(s.image, 4);
  const auto view = bit::view_of(images.data(), s.image, bit::layout::nchw);
  bit::trainable_resnet_v2<bit::cpu<float>> a(s.config, test::random_parameters(s.config, 1)),
      b(s.config, test::random_parameters(s.config, 1));
  for (const double weight : {1.0, 0.3}) {
    CHECK(a.accumulate(view, bit::cross_entropy{own.labels}, 0.5, {}, {}, weight) ==
          b.accumulate(view, own, 0.5, {}, {}, weight));
    for (std::size_t i = 0; i < a.parameters().size(); ++i)
      CHECK(a.parameters().gradient(i) == b.parameters().gradient(i));
  }
}

TEST_CASE("logits are those of a frozen model of the same values, for any batch, empty ones too") {
  const test::sample s = sample_of(8, {3, 3, 33, 30});
  const auto tensors = test::random_parameters(s.config, 1);
  bit::trainable_resnet_v2<bit::cpu<float>> model(s.config, tensors);
  const auto frozen = bit::resnet_v2<>(s.config, tensors).freeze();
  for (const std::size_t n : {3u, 1u, 0u, 2u}) {
    const auto images = test::random_images({n, 3, 33, 30}, 4);
    auto got = bit::matrix<float>::from_shape({n, s.config.num_classes});
    model.logits(bit::view_of(images.data(), {n, 3, 33, 30}, bit::layout::nchw), got.data());
    CHECK(test::relative_error(got, frozen(images)) < 2e-5);  // other algorithms round differently
  }
}

TEST_CASE("scale multiplies what is added, and an interrupted step throws") {
  const test::sample s = sample_of(8, {2, 3, 20, 30});
  bit::trainable_resnet_v2<bit::cpu<float>> model(s.config, test::random_parameters(s.config, 1));
  const auto images = test::random_images(s.image, 4);
  const auto view = bit::view_of(images.data(), s.image, bit::layout::nchw);
  const test::cross_entropy<float> loss({1, 5});
  model.accumulate(view, loss);
  std::vector<std::vector<float>> once;
  for (const auto& p : model.parameters()) once.emplace_back(p.gradient.begin(), p.gradient.end());
  model.accumulate(view, loss, 2.0);
  for (std::size_t i = 0; i < once.size(); ++i) {
    std::vector<float> thrice(once[i]);
    for (float& g : thrice) g *= 3;
    CHECK(norm_error(model.parameters()[i].gradient, thrice, 1e-6) < 1e-6);
  }
  bit::run_options options;
  int steps = 0;
  options.interrupted = [&] { return ++steps == 9; };
  CHECK_THROWS_AS(model.accumulate(view, loss, 1.0, {}, options), bit::interrupted_error);
  steps = -20;
  CHECK_THROWS_AS(model.accumulate(view, loss, 1.0, {}, options), bit::interrupted_error);
}
