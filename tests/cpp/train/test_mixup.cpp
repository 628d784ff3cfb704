// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/error.hpp>
#include <bit/train/mixup.hpp>
#include <cmath>
#include <numeric>
#include <set>

using namespace bit::train;
using indices = std::vector<std::size_t>;
using labels = std::vector<std::int64_t>;

TEST_CASE("each step has one weight, Beta(alpha, alpha), and 1 without mixup") {
  CHECK(mixup_lambda(0, 1, 5) == 1);
  CHECK(mixup_lambda(0.1, 1, 5) == mixup_lambda(0.1, 1, 5));
  CHECK(mixup_lambda(0.1, 1, 5) != mixup_lambda(0.1, 1, 6));
  CHECK(mixup_lambda(0.1, 1, 5) != mixup_lambda(0.1, 2, 5));
  double sum = 0, squares = 0;
  for (std::uint64_t step = 0; step < 20'000; ++step) {
    const double x = mixup_lambda(0.1, 3, step) - 0.5;
    sum += x;
    squares += x * x;
  }
  // Variance of Beta(0.1, 0.1): 1 / (4 * 1.2) = 0.208; standard errors 0.0032 and below 0.001.
  CHECK(std::abs(sum / 20'000) < 0.014);
  CHECK(squares / 20'000 == doctest::Approx(0.2083).epsilon(0.02));
  CHECK_THROWS_AS(mixup_lambda(-0.1, 1, 0), bit::config_error);
  CHECK_THROWS_AS(mixup_lambda(std::nan(""), 1, 0), bit::config_error);
}

TEST_CASE("partners are a permutation, the reverse or the element before") {
  CHECK(mixup_partners(4, mixup_partner::reversed, 0, 0) == indices{3, 2, 1, 0});
  CHECK(mixup_partners(4, mixup_partner::previous, 0, 0) == indices{3, 0, 1, 2});
  const auto permuted = mixup_partners(64, mixup_partner::permuted, 1, 9);
  CHECK(std::set<std::size_t>(permuted.begin(), permuted.end()).size() == 64);
  CHECK(permuted == mixup_partners(64, mixup_partner::permuted, 1, 9));
  CHECK(permuted != mixup_partners(64, mixup_partner::permuted, 1, 10));
  CHECK(mixup_partners(0, mixup_partner::previous, 0, 0).empty());
  CHECK(parse_mixup_partner("reversed") == mixup_partner::reversed);
  CHECK_THROWS_WITH_AS(parse_mixup_partner("random"), doctest::Contains("got 'random'"), bit::config_error);
}

TEST_CASE("images are mixed from what they were before, whatever the cycles of the partners") {
  for (std::size_t size : {1u, 3u, 1024u, 2500u}) {  // around the piece of 1024 floats
    const indices partners{2, 0, 1, 3, 5, 4, 0};
    std::vector<float> images(partners.size() * size);
    for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>((i * 7919) % 1000) / 500 - 1;
    std::vector<float> expected(images.size());
    for (std::size_t i = 0; i < partners.size(); ++i)
      for (std::size_t k = 0; k < size; ++k)
        expected[size * i + k] = 0.3f * images[size * i + k] + 0.7f * images[size * partners[i] + k];
    mix_images<float>(images, partners, 0.3);
    // 1 - 0.3 and 0.7f differ in float's last digit, and the compiler may fuse the product and the sum.
    for (std::size_t i = 0; i < images.size(); ++i) REQUIRE(std::abs(images[i] - expected[i]) < 3e-7f);
  }
}

TEST_CASE("a weight of 1 leaves images as they are, 0 gives the partners") {
  std::vector<double> images{1, 2, 3, 4};
  mix_images<double>(images, indices{1, 0}, 1);
  CHECK(images == std::vector<double>{1, 2, 3, 4});
  mix_images<double>(images, indices{1, 0}, 0);
  CHECK(images == std::vector<double>{3, 4, 1, 2});
  CHECK_THROWS_AS(mix_images<double>(images, indices{2, 0}, 0.5), bit::shape_error);
  CHECK_THROWS_AS(mix_images<double>(images, indices{0, 1, 2}, 0.5), bit::shape_error);
  std::vector<double> none;
  mix_images<double>(none, indices{}, 0.5);
}

TEST_CASE("labels are mixed as pairs and as probabilities") {
  const auto mixed = mix_labels(labels{2, 0, 2}, indices{1, 2, 0}, 0.25);
  CHECK(mixed.first == labels{2, 0, 2});
  CHECK(mixed.second == labels{0, 2, 2});
  CHECK(to_probabilities(mixed, 3) == std::vector<double>{0.75, 0, 0.25, 0.25, 0, 0.75, 0, 0, 1});
  CHECK_THROWS_WITH_AS(to_probabilities(mixed, 2), doctest::Contains("got 2 at position 0"), bit::shape_error);
  CHECK_THROWS_AS(mix_labels(labels{1}, indices{}, 0.5), bit::shape_error);
}
