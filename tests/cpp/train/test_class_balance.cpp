// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/backend/loss.hpp>
#include <bit/error.hpp>
#include <bit/train/best_metric.hpp>
#include <bit/train/class_weights.hpp>
#include <bit/train/sampler.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

using namespace bit::train;

namespace {

const std::vector<std::size_t> uneven{0, 0, 0, 0, 0, 0, 0, 1, 1, 2};  // seven, two and one of three classes

sampler balanced(std::size_t batch, std::uint64_t seed, epoch_end end = epoch_end::short_batch) {
  return {uneven.size(), batch, seed, {.order = sample_order::balanced, .end = end}, uneven};
}

micro_batch two_images() {
  micro_batch batch;
  batch.labels = {2, 0};
  return batch;
}

}  // namespace

TEST_CASE("a balanced order draws each class equally often, and its examples as often as each other") {
  sampler s = balanced(10, 5);
  CHECK(s.batches_per_epoch() == 1);
  std::map<std::size_t, std::size_t> by_class, by_example;
  constexpr std::size_t epochs = 21;  // 210 draws: 70 of each class, 10 of each of the seven
  for (std::uint64_t b = 0; b < epochs; ++b)
    for (const std::size_t i : s.batch(b)) {
      ++by_class[uneven[i]];
      ++by_example[i];
    }
  for (std::size_t c = 0; c < 3; ++c) CHECK(by_class[c] == 70);
  for (std::size_t i = 0; i < 7; ++i) CHECK(by_example[i] == 10);
  CHECK(by_example[7] == 35);
  CHECK(by_example[8] == 35);
  CHECK(by_example[9] == 70);
}

TEST_CASE("a balanced batch is a function of its number and the seed, whatever was drawn before") {
  sampler whole = balanced(4, 7), later = balanced(4, 7), other = balanced(4, 8);
  std::vector<std::vector<std::size_t>> all;
  for (std::uint64_t b = 0; b < 9; ++b) all.push_back(whole.batch(b));
  CHECK(later.batch(8) == all[8]);
  CHECK(later.batch(3) == all[3]);
  CHECK(other.batch(0) != all[0]);
  CHECK(all[0] != all[3]);  // epochs of three batches
  CHECK(all[2].size() == 2);
}

TEST_CASE("batches larger than the set draw classes alike, and labels must be there") {
  sampler s = balanced(3000, 1);
  REQUIRE(s.replaces());
  std::map<std::size_t, std::size_t> by_class;
  for (const std::size_t i : s.batch(0)) ++by_class[uneven[i]];
  // 1000 each, with a deviation of sqrt(3000 · 1/3 · 2/3) = 26: five of them
  for (std::size_t c = 0; c < 3; ++c) CHECK(std::abs(static_cast<double>(by_class[c]) - 1000) < 130);
  CHECK_THROWS_AS(sampler(10, 2, 0, {.order = sample_order::balanced}), bit::config_error);
}

TEST_CASE("class weights multiply each image's loss and gradient, and both labels of mixed images") {
  const std::vector<float> logits{1, 2, 3, 0, 0, 0};
  const std::vector<double> weights{2, 1, 0.5};
  micro_batch batch = two_images();
  std::vector<float> gradient(6), one(3), other(3);
  const double found = class_weighted_loss(batch, training_loss::softmax, 0, weights)(logits, gradient, 2, 3);
  const std::vector<std::int64_t> two{2}, zero{0};
  const double first =
      bit::evaluate_loss<float>(bit::cross_entropy{.labels = two}, std::span(logits).first(3), one, 1, 3);
  const double second =
      bit::evaluate_loss<float>(bit::cross_entropy{.labels = zero}, std::span(logits).last(3), other, 1, 3);
  CHECK(found == doctest::Approx((0.5 * first + 2 * second) / 2));
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(gradient[k] == doctest::Approx(0.25 * one[k]));
    CHECK(gradient[3 + k] == doctest::Approx(other[k]));
  }
  batch.partners = {0, 2};
  batch.weight = 0.75;
  const double mixed = class_weighted_loss(batch, training_loss::softmax, 0, weights)(logits, gradient, 2, 3);
  const double first_as_zero =
      bit::evaluate_loss<float>(bit::cross_entropy{.labels = zero}, std::span(logits).first(3), one, 1, 3);
  CHECK(mixed ==
        doctest::Approx(
            (0.75 * 0.5 * first + 0.25 * 2 * first_as_zero + 0.75 * 2 * second + 0.25 * 0.5 * std::log(3.0)) / 2));
}

TEST_CASE("with weights of 1 the loss is the plain one, sigmoid and smoothing included") {
  const std::vector<float> logits{1, 2, 3, 0, -1, 4};
  const std::vector<double> ones{1, 1, 1};
  const micro_batch batch = two_images();
  for (const auto kind : {training_loss::softmax, training_loss::sigmoid}) {
    std::vector<float> gradient(6), plain(6);
    const double found = class_weighted_loss(batch, kind, 0.1, ones)(logits, gradient, 2, 3);
    bit::loss what = bit::cross_entropy{.labels = batch.labels, .smoothing = 0.1};
    if (kind == training_loss::sigmoid) what = bit::sigmoid_cross_entropy{.labels = batch.labels, .smoothing = 0.1};
    CHECK(found == doctest::Approx(bit::evaluate_loss<float>(what, logits, plain, 2, 3)));
    for (std::size_t i = 0; i < 6; ++i) CHECK(gradient[i] == doctest::Approx(plain[i]));
  }
}

TEST_CASE("class weights that cannot be are refused") {
  CHECK_THROWS_AS(check_class_weights(std::vector<double>{1, 2}, 3), bit::config_error);
  CHECK_THROWS_AS(check_class_weights(std::vector<double>{1, -1}, 2), bit::config_error);
  CHECK_THROWS_AS(check_class_weights(std::vector<double>{0, 0}, 2), bit::config_error);
  CHECK_NOTHROW(check_class_weights(std::vector<double>{0, 1}, 2));
}

TEST_CASE("balanced accuracy and macro F1 weigh classes alike") {
  evaluation_counter counter;
  // Four of class 0, all found; one of class 1, taken for 0; class 2 is neither there nor predicted.
  const std::vector<float> logits{2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0};
  counter.add(logits, std::vector<std::int64_t>{0, 0, 0, 0, 1}, 3);
  CHECK(counter.result().top1 == doctest::Approx(0.8));
  CHECK(counter.result().balanced_accuracy == doctest::Approx(0.5));
  CHECK(counter.result().macro_f1 == doctest::Approx((8.0 / 9 + 0) / 2));
}

TEST_CASE("the area under the ROC curve counts pairs, ties half, and is missing where there are none") {
  auroc_counter two;
  // Class 1's probability rises with the second logit: 0 < 1 = 1 < 3, of labels 0, 0, 1, 1.
  two.add(std::vector<float>{0, 0, 0, 1, 0, 1, 0, 3}, std::vector<std::int64_t>{0, 0, 1, 1}, 2);
  CHECK(*two.result() == doctest::Approx(3.5 / 4));
  auroc_counter one;
  one.add(std::vector<float>{0, 1, 0, 2}, std::vector<std::int64_t>{1, 1}, 2);
  CHECK(!one.result());
  CHECK_THROWS_AS(score_of(evaluation{}, best_metric::auroc), bit::config_error);
}

TEST_CASE("the smallest loss is the best, of other numbers the greatest, and NaN is never better") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(is_better(0.1, 0.2, best_metric::loss));
  CHECK(!is_better(0.1, 0.2, best_metric::top1));
  CHECK(!is_better(0.2, 0.2, best_metric::top1));
  CHECK(!is_better(nan, 0.2, best_metric::loss));
  CHECK(is_better(0.2, nan, best_metric::macro_f1));
}
