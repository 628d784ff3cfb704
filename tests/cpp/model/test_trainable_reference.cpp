// SPDX-License-Identifier: Apache-2.0
// trainable_resnet_v2<reference<double>> against central differences of its own loss, on small awkward networks.
#include <doctest/doctest.h>
#include <bit/reference.hpp>
#include <numeric>

#include "../backend/batch_loss.hpp"
#include "../backend/random_networks.hpp"

namespace {

using exact_model = bit::trainable_resnet_v2<bit::reference<double>>;

double loss_of(exact_model& model, const bit::image_view<double>& x, const test::cross_entropy<double>& loss) {
  const std::size_t classes = model.config().num_classes;
  std::vector<double> logits(x.dims.n * classes), gradient(logits.size());
  model.logits(x, logits.data());
  return loss(logits, gradient, x.dims.n, classes);
}

/// |analytic - measured| derivative along `direction` of `values`, relative to the gradient's and direction's norms.
/// `write` puts other values in their place.
template <class Loss, class Write>
double derivative_error(std::span<const double> values, std::span<const double> gradient, std::mt19937& random,
                        Loss loss, Write write) {
  constexpr double h = 1e-6;
  std::normal_distribution<double> normal;
  std::vector<double> direction(values.size()), before(values.begin(), values.end());
  for (double& d : direction) d = normal(random);
  const auto move = [&](double by) {
    std::vector<double> moved(before);
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += by * direction[i];
    write(moved);
  };
  move(h);
  const double above = loss();
  move(-h);
  const double below = loss();
  move(0);
  const auto norm = [](auto& v) { return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0)); };
  const double exact = std::inner_product(gradient.begin(), gradient.end(), direction.begin(), 0.0);
  return std::abs(exact - (above - below) / (2 * h)) / (1e-3 + norm(gradient) * norm(direction));
}

// Rounding of the loss, 1e-16 / 1e-6, times what some dozen layers amplify, and curvature: measured up to 2e-7.
constexpr double tolerance = 1e-5;

}  // namespace

TEST_CASE("gradients of every parameter and of the image agree with central differences") {
  std::mt19937 random(5);
  for (int round = 0; round < 6; ++round) {
    const test::sample s = test::random_sample(random);
    CAPTURE(round);
    exact_model model(s.config, test::random_parameters(s.config, static_cast<std::uint32_t>(round)));
    bit::tensor4<double> images = xt::cast<double>(test::random_images(s.image, 3));
    const auto view = bit::view_of(images.data(), s.image, bit::layout::nchw);
    std::vector<std::size_t> labels(s.image.n);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = i % s.config.num_classes;
    const test::cross_entropy<double> loss(labels);
    std::vector<double> image_gradient(images.size());
    const bit::named_tap<double> tap{"image", image_gradient};
    CHECK(model.accumulate(view, loss, 1.0, std::span(&tap, 1)) == doctest::Approx(loss_of(model, view, loss)));
    const auto again = [&] { return loss_of(model, view, loss); };
    for (std::size_t i = 0; i < model.parameters().size(); ++i) {
      const auto& p = model.parameters()[i];
      CAPTURE(p.name);
      const auto write = [&](const auto& values) { model.parameters().write(bit::parameter_array::values, i, values); };
      CHECK(derivative_error(p.value, p.gradient, random, again, write) < tolerance);
    }
    const auto write_images = [&](const auto& values) { std::copy(values.begin(), values.end(), images.begin()); };
    CHECK(derivative_error({images.data(), images.size()}, image_gradient, random, again, write_images) < tolerance);
    // Negative control: a gradient that is a hundredth too large is noticed wherever there is one.
    const auto& kernel = model.parameters().front();
    std::vector<double> wrong(kernel.gradient.begin(), kernel.gradient.end());
    for (double& g : wrong) g = 1.01 * g + 1.0;
    const auto write = [&](const auto& values) { model.parameters().write(bit::parameter_array::values, 0, values); };
    CHECK(derivative_error(kernel.value, wrong, random, again, write) > tolerance);
  }
}

TEST_CASE("accumulate adds scaled gradients: the mean of two halves is the gradient of the whole batch") {
  const bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 4, .num_classes = 3, .groups = 2};
  exact_model model(config, test::random_parameters(config, 1));
  const bit::tensor4<double> images = xt::cast<double>(test::random_images({4, 3, 20, 18}, 3));
  const auto part = [&](std::size_t first, std::size_t n) {
    return bit::view_of(images.data() + first * 3 * 20 * 18, {n, 3, 20, 18}, bit::layout::nchw);
  };
  const double whole = model.accumulate(part(0, 4), test::cross_entropy<double>({0, 1, 2, 0}));
  std::vector<std::vector<double>> expected;
  for (const auto& p : model.parameters()) expected.emplace_back(p.gradient.begin(), p.gradient.end());
  model.zero_gradients();
  const double first = model.accumulate(part(0, 2), test::cross_entropy<double>({0, 1}), 0.5);
  const double second = model.accumulate(part(2, 2), test::cross_entropy<double>({2, 0}), 0.5);
  CHECK((first + second) / 2 == doctest::Approx(whole).epsilon(1e-12));
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(test::relative_error(model.parameters()[i].gradient, expected[i]) < 1e-10);
}

TEST_CASE("what cannot be trained is refused with a reason") {
  bit::resnet_config config{.units = {1, 1, 1, 1}, .stem_channels = 4, .num_classes = 0, .groups = 2};
  const bit::tensor4<double> images = xt::cast<double>(test::random_images({1, 3, 8, 8}, 3));
  const auto view = bit::view_of(images.data(), {1, 3, 8, 8}, bit::layout::nchw);
  exact_model headless(config, test::random_parameters(config, 1));
  CHECK_THROWS_AS(headless.accumulate(view, test::cross_entropy<double>({0})), bit::config_error);
  config.num_classes = 2;
  exact_model model(config, test::random_parameters(config, 1));
  std::vector<double> small(5);
  const bit::named_tap<double> tap{"image", small};
  CHECK_THROWS_AS(model.accumulate(view, test::cross_entropy<double>({0}), 1.0, std::span(&tap, 1)), bit::shape_error);
  CHECK_THROWS_AS(
      model.accumulate(bit::view_of(images.data(), {0, 3, 8, 8}, bit::layout::nchw), test::cross_entropy<double>({0})),
      bit::shape_error);
  CHECK_THROWS_AS(
      model.accumulate(bit::view_of(images.data(), {1, 1, 8, 8}, bit::layout::nchw), test::cross_entropy<double>({0})),
      bit::shape_error);
}
