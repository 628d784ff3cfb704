// trainable_resnet_v2<cpu<float>> on every instruction set against reference<double>, on small awkward networks.
#include <doctest/doctest.h>
#include <bit/backend/cpu/training.hpp>
#include <bit/backend/reference/training.hpp>
#include <bit/model/trainable.hpp>
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
    bit::run_options options;
    options.threads = threads;
    model.zero_gradients();
    loss = model.accumulate(bit::view_of(images.data(), s.image, bit::layout::nchw),
                            test::cross_entropy<T>(labels_for(s)), 1.0, image_gradient, options);
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

constexpr double tolerance = 1e-4;
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
