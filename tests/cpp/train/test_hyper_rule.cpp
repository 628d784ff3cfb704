// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/error.hpp>
#include <bit/train/hyper_rule.hpp>
#include <limits>

using namespace bit::train;

TEST_CASE("small images are trained at 128 of 160 pixels, larger ones at 480 of 512") {
  const auto of = [](std::size_t h, std::size_t w) { return make_hyper_rule(1000, {h, w}).resolution; };
  const training_resolution low{160, 128}, high{512, 480};
  CHECK(of(32, 32) == low);
  CHECK(of(95, 97) == low);  // 9215 pixels
  CHECK(of(96, 96) == high);
  CHECK(of(1, 9215) == low);
  CHECK(of(9216, 1) == high);
  CHECK(of(224, 224) == high);
  constexpr std::size_t absurd = std::numeric_limits<std::size_t>::max();
  CHECK(of(absurd, absurd) == high);  // its area is 1 modulo 2^64
}

TEST_CASE("the schedule and mixup follow the number of examples") {
  using steps = std::vector<std::size_t>;
  const auto of = [](std::size_t n) { return make_hyper_rule(n, {32, 32}); };
  CHECK(of(19'999).schedule == steps{100, 200, 300, 400, 500});
  CHECK(of(20'000).schedule == steps{500, 3000, 6000, 9000, 10'000});
  CHECK(of(499'999).schedule == steps{500, 3000, 6000, 9000, 10'000});
  CHECK(of(500'000).schedule == steps{500, 6000, 12'000, 18'000, 20'000});
  CHECK(of(19'999).mixup_alpha == 0);
  CHECK(of(20'000).mixup_alpha == 0.1);
  CHECK(of(1).steps() == 500);
}

TEST_CASE("the rate warms up from 0, then falls to a tenth after each step of the schedule") {
  const auto rule = make_hyper_rule(1000, {32, 32});
  // The reference's own arithmetic, hence equality to the bit: base * step / 100, then division by 10 again and again.
  CHECK(rule.lr(0) == 0.0);
  CHECK(rule.lr(1) == 0.003 * 1 / 100);
  CHECK(rule.lr(99) == 0.003 * 99 / 100);
  CHECK(rule.lr(100) == 0.003);
  CHECK(rule.lr(200) == 0.003);
  CHECK(rule.lr(201) == 0.003 / 10);
  CHECK(rule.lr(300) == 0.003 / 10);
  CHECK(rule.lr(301) == 0.003 / 10 / 10);
  CHECK(rule.lr(401) == 0.003 / 10 / 10 / 10);
  CHECK(rule.lr(499) == 0.003 / 10 / 10 / 10);
  CHECK_FALSE(rule.lr(500));
  CHECK_FALSE(rule.lr(1'000'000));
  CHECK(make_hyper_rule(1000, {32, 32}, 0.001).lr(150) == 0.001);
}

TEST_CASE("a schedule changed by hand is followed") {
  auto rule = make_hyper_rule(1000, {32, 32});
  rule.schedule = {2, 4};
  CHECK(rule.steps() == 4);
  CHECK(rule.lr(1) == 0.0015);
  CHECK(rule.lr(3) == 0.003);
  CHECK_FALSE(rule.lr(4));
  rule.schedule = {};
  CHECK_FALSE(rule.lr(0));
}

TEST_CASE("the reference's data sets have the sizes that it assumes") {
  CHECK(known_image_size("cifar10") == image_size{32, 32});
  CHECK(known_image_size("cifar100") == image_size{32, 32});
  for (const char* name : {"oxford_iiit_pet", "oxford_flowers102", "imagenet2012"})
    CHECK(known_image_size(name) == image_size{224, 224});
  CHECK_FALSE(known_image_size("mine"));
}

TEST_CASE("the recipe reads well") {
  CHECK(to_string(make_hyper_rule(50'000, {32, 32})) ==
        "BiT-HyperRule for 50000 images of 32 x 32\n"
        "  resolution  resize to 160, crop 128\n"
        "  mixup       alpha 0.1\n"
        "  steps       10000\n"
        "  rate        0 to 0.003 until step 500, 0.0003 after 3000, 3e-05 after 6000, 3e-06 after 9000");
  CHECK(to_string(make_hyper_rule(10, {300, 200})).find("mixup       none") != std::string::npos);
}

TEST_CASE("what cannot be trained is refused") {
  CHECK_THROWS_WITH_AS(make_hyper_rule(0, {32, 32}), doctest::Contains("at least 1 training example"),
                       bit::config_error);
  CHECK_THROWS_WITH_AS(make_hyper_rule(10, {0, 32}), doctest::Contains("got 0 x 32"), bit::config_error);
  for (double rate : {0.0, -1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_AS(make_hyper_rule(10, {32, 32}, rate), bit::config_error);
  auto rule = make_hyper_rule(10, {32, 32});
  rule.schedule = {10, 10};
  CHECK_THROWS_WITH_AS(validate(rule), doctest::Contains("got 10 after"), bit::config_error);
  rule.schedule = {};
  CHECK_THROWS_AS(validate(rule), bit::config_error);
  rule = make_hyper_rule(10, {32, 32});
  rule.resolution = {128, 160};
  CHECK_THROWS_AS(validate(rule), bit::config_error);
}
