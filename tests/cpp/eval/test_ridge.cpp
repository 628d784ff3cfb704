// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/error.hpp>
#include <bit/eval/ridge.hpp>
#include <cmath>

#include "random_features.hpp"

namespace {

namespace eval = bit::eval;

double target(const labelled_table& t, std::size_t row, std::size_t c) { return t.labels[row] == c ? 1.0 : -1.0; }

/// Largest entry of the gradient of the ridge objective, relative to the targets' scale: zero at the minimum only.
double gradient_size(const eval::ridge_classifier& model, const labelled_table& t) {
  const auto scores = eval::ridge_scores(model, t.view());
  double worst = 0;
  for (std::size_t c = 0; c < t.classes; ++c) {
    double intercept = 0;
    for (std::size_t i = 0; i < t.rows; ++i) intercept += scores(i, c) - target(t, i, c);
    worst = std::max(worst, std::abs(intercept));
    for (std::size_t j = 0; j < t.columns; ++j) {
      double g = model.lambda * model.weights(j, c);
      for (std::size_t i = 0; i < t.rows; ++i)
        g += static_cast<double>(t.values[i * t.columns + j]) * (scores(i, c) - target(t, i, c));
      worst = std::max(worst, std::abs(g));
    }
  }
  return worst / static_cast<double>(t.rows);
}

/// Mean squared leave-one-out error by refitting without each row in turn.
double refitted_error(const labelled_table& t, double lambda) {
  double total = 0;
  for (std::size_t out = 0; out < t.rows; ++out) {
    labelled_table rest{t.rows - 1, t.columns, t.classes};
    for (std::size_t i = 0; i < t.rows; ++i) {
      if (i == out) continue;
      rest.labels.push_back(t.labels[i]);
      const auto row = t.values.begin() + static_cast<std::ptrdiff_t>(i * t.columns);
      rest.values.insert(rest.values.end(), row, row + static_cast<std::ptrdiff_t>(t.columns));
    }
    const auto model = eval::fit_ridge(rest.view(), rest.labels, rest.classes, std::vector{lambda});
    const auto scores =
        eval::ridge_scores(model, {std::span(t.values).subspan(out * t.columns, t.columns), 1, t.columns});
    for (std::size_t c = 0; c < t.classes; ++c) total += std::pow(target(t, out, c) - scores(0, c), 2);
  }
  return total / static_cast<double>(t.rows * t.classes);
}

}  // namespace

// Double precision on well-posed problems of this size leaves about 1e-12; 1e-9 is far above it and far below what
// any wrong term (a missing centring, a wrong lambda) makes.
constexpr double tolerance = 1e-9;

TEST_CASE("the solution is where the gradient vanishes, in the primal and in the dual") {
  for (const auto& t : {random_table(40, 7, 3, 1), random_table(9, 30, 3, 2), random_table(12, 12, 2, 3)}) {
    auto model = eval::fit_ridge(t.view(), t.labels, t.classes, std::vector{0.7});
    CHECK(gradient_size(model, t) < tolerance);
    model.weights(0, 0) += 1e-6;  // negative control: a millionth off must show
    CHECK(gradient_size(model, t) > tolerance);
  }
}

TEST_CASE("leave-one-out errors equal those of refitting without each example") {
  for (const auto& t : {random_table(20, 5, 3, 4), random_table(8, 15, 2, 5)}) {
    const std::vector lambdas{0.1, 2.0, 30.0};
    const auto model = eval::fit_ridge(t.view(), t.labels, t.classes, lambdas);
    REQUIRE(model.candidates.size() == 3);
    for (const auto& candidate : model.candidates) {
      const double expected = refitted_error(t, candidate.lambda);
      CHECK(std::abs(candidate.error - expected) < tolerance * expected);
      CHECK(std::abs(candidate.error - refitted_error(t, 1.01 * candidate.lambda)) > tolerance * expected);
    }
  }
}

TEST_CASE("the strength with the least error is used, and gives what it gives alone") {
  for (const auto& t : {random_table(50, 6, 3, 6), random_table(10, 25, 5, 7)}) {
    const auto chosen = eval::fit_ridge(t.view(), t.labels, t.classes);
    CHECK(chosen.candidates.size() == 8);
    double least = chosen.candidates[0].error, lambda = 0;
    for (const auto& candidate : chosen.candidates)
      if (candidate.error <= least) least = candidate.error, lambda = candidate.lambda;
    CHECK(chosen.lambda == lambda);
    const auto alone = eval::fit_ridge(t.view(), t.labels, t.classes, std::vector{chosen.lambda});
    for (std::size_t i = 0; i < alone.weights.size(); ++i)
      CHECK(std::abs(alone.weights.data()[i] - chosen.weights.data()[i]) < tolerance);
  }
}

TEST_CASE("more rows than one block are all read") {
  const auto t = random_table(2500, 4, 2, 8);
  CHECK(gradient_size(eval::fit_ridge(t.view(), t.labels, t.classes), t) < tolerance);
}

TEST_CASE("one example, equal examples and constant features are no crash") {
  const std::vector<float> same(12, 2.0F);
  const std::vector<std::size_t> one{0}, three{0, 1, 1};
  CHECK(eval::fit_ridge({std::span(same).first(4), 1, 4}, one, 2).weights(0, 0) == 0.0);
  const auto model = eval::fit_ridge({same, 3, 4}, three, 2);
  const auto scores = eval::ridge_scores(model, {same, 3, 4});
  CHECK(scores(0, 1) == doctest::Approx(1.0 / 3.0));  // the mean of the targets -1, 1, 1
}

TEST_CASE("wrong sizes, labels, features and strengths are refused with their numbers") {
  const auto t = random_table(6, 3, 2, 9);
  const std::vector<std::size_t> few{0, 1}, large{0, 1, 0, 1, 0, 5};
  CHECK_THROWS_WITH_AS(eval::fit_ridge(t.view(), few, 2),
                       "[fit_ridge] expected one label per row, got 2 labels for 6 rows", bit::shape_error);
  CHECK_THROWS_WITH_AS(eval::fit_ridge(t.view(), large, 2), "[fit_ridge] expected labels in [0, 2), got 5",
                       bit::shape_error);
  CHECK_THROWS_AS(eval::fit_ridge({t.values, 6, 4}, t.labels, 2), bit::shape_error);
  CHECK_THROWS_AS(eval::fit_ridge({}, {}, 2), bit::shape_error);
  CHECK_THROWS_AS(eval::fit_ridge(t.view(), t.labels, 2, std::vector{-1.0}), bit::config_error);
  const auto wide = random_table(4, 9, 2, 10);  // centred rows have rank 3: singular without a ridge
  CHECK_THROWS_AS(eval::fit_ridge(wide.view(), wide.labels, 2, std::vector{0.0}), bit::config_error);
  auto broken = t;
  broken.values[4] = std::nanf("");
  CHECK_THROWS_AS(eval::fit_ridge(broken.view(), t.labels, 2), bit::config_error);
  const auto model = eval::fit_ridge(t.view(), t.labels, 2);
  CHECK_THROWS_WITH_AS(eval::ridge_scores(model, wide.view()),
                       "[ridge_scores] expected 3 features, as the classifier was fitted on, got 9", bit::shape_error);
}
