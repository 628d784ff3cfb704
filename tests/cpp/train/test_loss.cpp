// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/backend/loss.hpp>
#include <bit/error.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace bit;
using labels = std::vector<std::int64_t>;

namespace {

std::vector<double> random_logits(std::size_t count, double size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<double> values(count);
  for (double& v : values) v = size * (static_cast<double>(random()) * 0x1p-31 - 1);
  return values;
}

/// Rows of positive numbers that sum to 1.
std::vector<double> random_probabilities(std::size_t n, std::size_t classes, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<double> values(n * classes);
  for (std::size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) sum += values[i * classes + k] = static_cast<double>(random()) + 1;
    for (std::size_t k = 0; k < classes; ++k) values[i * classes + k] /= sum;
  }
  return values;
}

double value_of(const loss& what, const std::vector<double>& logits, std::size_t n) {
  std::vector<double> gradient(logits.size());
  return evaluate_loss<double>(what, logits, gradient, n, logits.size() / n);
}

/// The largest difference between the gradient and central differences of the value. Differences of step 1e-4 are wrong
/// by their third derivative · 1e-8/6 and by rounding, 1e-16/1e-4: both far below the 1e-7 that is asked for.
double gradient_error(const loss& what, std::vector<double> logits, std::size_t n, double change = 1) {
  std::vector<double> gradient(logits.size());
  evaluate_loss<double>(what, logits, gradient, n, logits.size() / n);
  double worst = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    constexpr double step = 1e-4;
    const double at = logits[i];
    logits[i] = at + step;
    const double above = value_of(what, logits, n);
    logits[i] = at - step;
    const double below = value_of(what, logits, n);
    logits[i] = at;
    worst = std::max(worst, std::abs((above - below) / (2 * step) - change * gradient[i]));
  }
  return worst;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const bit::error& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("softmax cross-entropy has the values that one computes by hand") {
  const std::vector<double> logits{0, std::log(3.0), 0, 0, 0, 0};  // softmax of the first row: 1/5, 3/5, 1/5
  const labels y{1, 2};
  CHECK(value_of(cross_entropy{y}, logits, 2) == doctest::Approx((std::log(5.0 / 3) + std::log(3.0)) / 2));
  std::vector<double> gradient(6);
  evaluate_loss<double>(cross_entropy{y}, logits, gradient, 2, 3);
  CHECK(gradient[0] == doctest::Approx(0.1));
  CHECK(gradient[1] == doctest::Approx(-0.2));
  CHECK(gradient[5] == doctest::Approx(-1.0 / 3));

  // smoothing 0.3 gives targets 0.1, 0.8, 0.1
  const double smooth = 0.1 * std::log(5.0) + 0.8 * std::log(5.0 / 3) + 0.1 * std::log(5.0);
  CHECK(value_of(cross_entropy{.labels = labels{1}, .smoothing = 0.3}, {logits.begin(), logits.begin() + 3}, 1) ==
        doctest::Approx(smooth));
}

TEST_CASE("mixed labels, probabilities and hard labels are one loss") {
  const auto logits = random_logits(4 * 5, 3, 1);
  const labels a{0, 1, 2, 4}, b{4, 1, 0, 3};
  const double weight = 0.3;
  std::vector<double> soft(20);
  for (std::size_t i = 0; i < 4; ++i) {
    soft[i * 5 + static_cast<std::size_t>(a[i])] += 0.3;
    soft[i * 5 + static_cast<std::size_t>(b[i])] += 0.7;
  }
  const double apart =
      weight * value_of(cross_entropy{a}, logits, 4) + (1 - weight) * value_of(cross_entropy{b}, logits, 4);
  CHECK(value_of(cross_entropy{a, b, weight}, logits, 4) == doctest::Approx(apart).epsilon(1e-14));
  CHECK(value_of(cross_entropy{.probabilities = soft}, logits, 4) == doctest::Approx(apart).epsilon(1e-14));
  CHECK(value_of(cross_entropy{a, b, 0.3001}, logits, 4) != doctest::Approx(apart).epsilon(1e-14));
}

TEST_CASE("gradients are those of central differences, and a gradient wrong by a thousandth is found") {
  const std::size_t n = 3, classes = 7;
  const auto logits = random_logits(n * classes, 4, 2);
  const auto soft = random_probabilities(n, classes, 3);
  const auto teacher = random_logits(n * classes, 4, 4);
  const labels a{0, 6, 3}, b{5, 5, 3};
  const std::vector<loss> losses{cross_entropy{a},
                                 cross_entropy{.labels = a, .smoothing = 0.1},
                                 cross_entropy{a, b, 0.35, 0.1},
                                 cross_entropy{.probabilities = soft},
                                 cross_entropy{.smoothing = 0.2, .probabilities = soft},
                                 sigmoid_cross_entropy{.targets = soft},
                                 sigmoid_cross_entropy{a, b, 0.35, 0.1},
                                 distillation{teacher},
                                 distillation{teacher, 5.0}};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    INFO(i);
    CHECK(gradient_error(losses[i], logits, n) < 1e-7);
    CHECK(gradient_error(losses[i], logits, n, 1.001) > 1e-6);
  }
}

TEST_CASE("large logits neither overflow nor lose the loss") {
  const std::vector<double> logits{1000, 0, -1000, -1000, 0, 1000};
  const labels right{0, 2}, wrong{2, 0};
  CHECK(value_of(cross_entropy{right}, logits, 2) == 0);
  CHECK(value_of(cross_entropy{wrong}, logits, 2) == 2000);
  const std::vector<double> targets{1, 0, 0, 0, 1, 1};
  CHECK(value_of(sigmoid_cross_entropy{.targets = targets}, logits, 2) == doctest::Approx(std::log(2.0)));
  const std::vector<double> teacher{-1000, 0, 1000, -1000, 0, 1000};
  CHECK(value_of(distillation{teacher}, logits, 2) == 1000);
  CHECK(value_of(distillation{teacher, 10.0}, logits, 2) == doctest::Approx(100 * 200 / 2));
  // float logits are summed in double: 21,843 equal ones give log(21843) to the last digit of a double
  const std::vector<float> flat(21'843, 0.1f);
  std::vector<float> gradient(flat.size());
  const labels seventh{7};
  CHECK(evaluate_loss<float>(cross_entropy{seventh}, flat, gradient, 1, flat.size()) ==
        doctest::Approx(std::log(21'843.0)).epsilon(1e-14));
}

TEST_CASE("sigmoid cross-entropy sums over classes") {
  const std::vector<double> targets{1, 0, 1, 1};
  CHECK(value_of(sigmoid_cross_entropy{.targets = targets}, {0, 0, 0, 0}, 2) == doctest::Approx(2 * std::log(2.0)));
}

TEST_CASE("distillation towards the teacher's own logits costs nothing") {
  const auto logits = random_logits(12, 4, 5);
  CHECK(value_of(distillation{logits, 2.0}, logits, 3) == doctest::Approx(0).epsilon(1e-12));
}

TEST_CASE("a logit that is not a number makes the loss one") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  const std::vector<double> targets{0.5, 0.5};
  for (const std::vector<double>& logits : {std::vector{nan, 0.0}, {0.0, nan}, {infinite, 0.0}}) {
    CHECK(std::isnan(value_of(cross_entropy{labels{0}}, logits, 1)));
    CHECK(!std::isfinite(value_of(sigmoid_cross_entropy{.targets = targets}, logits, 1)));
    CHECK(std::isnan(value_of(distillation{targets}, logits, 1)));
  }
}

TEST_CASE("labels that do not fit are named with their example and the number of classes") {
  const std::vector<double> logits(6);
  const std::string text = message_of([&] { value_of(cross_entropy{labels{0, 3}}, logits, 2); });
  CHECK(text.find("label 3 of example 1 is outside 0..2") != std::string::npos);
  CHECK(text.find("3 classes") != std::string::npos);
  CHECK_THROWS_AS(value_of(cross_entropy{labels{-1, 0}}, logits, 2), bit::shape_error);
  CHECK_THROWS_AS(value_of(cross_entropy{labels{0, 0}, labels{0, 9}, 0.5}, logits, 2), bit::shape_error);
  CHECK_THROWS_AS(value_of(cross_entropy{labels{0}}, logits, 2), bit::shape_error);
  CHECK_THROWS_AS(evaluate_loss<double>(cross_entropy{}, {}, {}, 0, 3), bit::shape_error);
  const std::vector<double> one(3);
  CHECK_THROWS_AS(value_of(cross_entropy{.labels = labels{0}, .smoothing = 1.5}, one, 1), bit::config_error);
  CHECK_THROWS_AS(value_of(sigmoid_cross_entropy{.labels = labels{0}, .smoothing = 1.5}, one, 1), bit::config_error);
  CHECK_THROWS_AS(value_of(sigmoid_cross_entropy{.labels = labels{3}}, one, 1), bit::shape_error);
  CHECK_THROWS_AS(value_of(cross_entropy{.labels = labels{0}, .probabilities = one}, one, 1), bit::config_error);
  CHECK_THROWS_AS(value_of(cross_entropy{labels{0}, labels{0}, -0.1}, one, 1), bit::config_error);
  CHECK_THROWS_AS(value_of(distillation{one, 0}, one, 1), bit::config_error);
  const std::vector<double> multi_hot{1, 1, 0, 0, 0, 1}, negative{-0.5, 1.5, 0, 0, 0, 1};
  CHECK(message_of([&] { value_of(cross_entropy{.probabilities = multi_hot}, logits, 2); }).find("sum to 2") !=
        std::string::npos);
  CHECK_THROWS_AS(value_of(cross_entropy{.probabilities = negative}, logits, 2), bit::shape_error);
  CHECK_THROWS_AS(value_of(sigmoid_cross_entropy{.targets = negative}, logits, 2), bit::shape_error);
  CHECK_THROWS_AS(value_of(distillation{std::span(negative).first(3)}, logits, 2), bit::shape_error);
}

TEST_CASE("a weight multiplies the gradient and not the value") {
  const auto logits = random_logits(6, 2, 1);
  const labels y{0, 2};
  std::vector<double> once(6), thrice(6);
  CHECK(evaluate_loss<double>(cross_entropy{y}, logits, once, 2, 3) ==
        evaluate_loss<double>(cross_entropy{y}, logits, thrice, 2, 3, 3));
  for (std::size_t i = 0; i < 6; ++i) CHECK(thrice[i] == 3 * once[i]);
}
