// SPDX-License-Identifier: Apache-2.0
// Single steps of cpu<float>, every instruction set, against reference<double> on awkward geometry.
#include <doctest/doctest.h>

#include "one_convolution.hpp"

namespace {

using test::geometry;
using test::make_program;
using test::run;

/// Largest error over the three outputs, or infinity.
double step_error(const geometry& g, std::uint32_t seed, std::size_t threads = 2) {
  const bit::program p = make_program(g, seed);
  const auto got = run<bit::cpu<float>>(p, threads, seed);
  const auto expected = run<bit::reference<double>>(p, 1, seed);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, test::relative_error(got[i], expected[i]));
  return worst;
}

// One product between two norms: float rounding is 6e-8 per operation and the measured errors stay below 1.1e-6,
// deep sums included; a wrong pixel, channel, tap or statistic is wrong by 1e-2 and more.
constexpr double tolerance = 3e-6;

const geometry cases[] = {
    {},
    {.cin = 1, .cout = 1, .h = 1, .w = 1, .n = 1},
    {.cin = 15, .cout = 17, .h = 3, .w = 5},
    {.cin = 16, .cout = 32, .groups = 32, .h = 1, .w = 40},
    {.cin = 17, .cout = 33, .groups = 3, .h = 13, .w = 1},
    {.cin = 32, .cout = 32, .groups = 8, .residual = true},
    {.cin = 33, .cout = 33, .groups = 11, .h = 14, .w = 15, .residual = true},
    {.cin = 20, .cout = 40, .groups = 4, .projection = true},
    {.cin = 20, .cout = 48, .groups = 16, .stride = 2, .projection = true},
    {.cin = 7, .cout = 9, .groups = 3, .stride = 3, .h = 8, .w = 10},
    {.cin = 5, .cout = 7, .size = 3},
    {.cin = 16, .cout = 16, .groups = 4, .size = 3, .h = 1, .w = 1},
    {.cin = 31, .cout = 33, .groups = 3, .size = 3, .h = 2, .w = 3},
    {.cin = 24, .cout = 40, .groups = 8, .size = 3, .stride = 2, .h = 7, .w = 9},
    {.cin = 24, .cout = 40, .groups = 8, .size = 3, .stride = 2, .h = 8, .w = 6},
    {.cin = 8, .cout = 16, .groups = 2, .size = 3, .stride = 3, .h = 10, .w = 11},
    {.cin = 16, .cout = 32, .groups = 2, .size = 3, .dilation = 2, .h = 5, .w = 31},
    {.cin = 16, .cout = 32, .groups = 2, .size = 3, .dilation = 4, .h = 6, .w = 3},
    {.cin = 12, .cout = 16, .groups = 2, .size = 3, .stride = 2, .dilation = 2, .h = 9, .w = 9},
    {.cin = 64, .cout = 64, .groups = 32, .size = 3, .h = 29, .w = 57, .n = 1},
    {.cin = 256, .cout = 80, .groups = 16, .h = 29, .w = 57, .n = 3},
    {.cin = 16, .cout = 16, .size = 3, .h = 15, .w = 16, .n = 0},
    // Panels of weights that are cut into K blocks on every instruction set.
    {.cin = 720, .cout = 40, .groups = 8, .size = 3, .stride = 2, .h = 6, .w = 7},
    {.cin = 720, .cout = 720, .groups = 16, .size = 3, .h = 2, .w = 3, .n = 1, .residual = true},
    {.cin = 3600, .cout = 40, .groups = 4, .h = 5, .w = 7, .n = 3, .projection = true},
};

}  // namespace

TEST_CASE("every instruction set computes every awkward step like reference<double>") {
  for (const std::string& isa : bit::available_isas()) {
    const test::pinned_isa pin(isa);
    std::uint32_t seed = 0;
    for (const geometry& g : cases) {
      ++seed;
      CAPTURE(isa);
      CAPTURE(seed);
      CHECK(step_error(g, seed) < tolerance);
    }
  }
}

TEST_CASE("reference<float> agrees with reference<double>, too") {
  std::uint32_t seed = 100;
  for (const geometry& g : cases) {
    const bit::program p = make_program(g, ++seed);
    const auto got = run<bit::reference<float>>(p, 1, seed);
    const auto expected = run<bit::reference<double>>(p, 1, seed);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(test::relative_error(got[i], expected[i]) < tolerance);
  }
}

TEST_CASE("the tolerance notices one weight that is off by a thousandth") {
  const geometry g{.cin = 24, .cout = 40, .groups = 8, .size = 3};
  bit::program p = make_program(g, 5);
  const auto expected = run<bit::reference<double>>(p, 1, 5);
  for (bit::named_tensor& t : p.parameters)
    if (t.name == "conv/kernel") {
      std::vector<float> values(9 * 24 * 40);
      t.data->read(std::span<float>(values));
      values[777] += 1e-3f;
      t.data = std::make_shared<test::stored_values>(values);
    }
  const auto got = run<bit::cpu<float>>(p, 2, 5);
  CHECK(test::relative_error(got[0], expected[0]) > tolerance);
}

TEST_CASE("a mean a thousand times the spread costs group norm no digits") {
  // Statistics of x around 1000: one-pass float sums of squares would be wrong in the first digit.
  alignas(64) float pixels[29 * 16];
  std::mt19937 random(3);
  std::normal_distribution<float> normal(1000, 1);
  for (float& v : pixels) v = normal(random);
  for (const std::string& isa : bit::available_isas()) {
    alignas(64) double sums[32] = {};
    bit::detail::microkernels_of<float>(bit::detail::instruction_set_of(isa)).accumulate_statistics(sums, pixels, 29);
    for (std::size_t c = 0; c < 16; ++c) {
      double mean = 0, squares = 0;
      for (std::size_t p = 0; p < 29; ++p) mean += pixels[p * 16 + c] / 29.0;
      for (std::size_t p = 0; p < 29; ++p) squares += (pixels[p * 16 + c] - mean) * (pixels[p * 16 + c] - mean);
      const double got = sums[16 + c] - sums[c] * sums[c] / 29;
      CHECK(got == doctest::Approx(squares).epsilon(1e-5));
    }
  }
}

TEST_CASE("results are the same to the bit for 1 to 7 threads") {
  for (const geometry& g : {geometry{.cin = 64, .cout = 80, .groups = 16, .size = 3, .h = 29, .w = 31},
                            geometry{.cin = 40, .cout = 96, .groups = 32, .h = 30, .w = 30, .projection = true}}) {
    const bit::program p = make_program(g, 9);
    const auto expected = run<bit::cpu<float>>(p, 1, 9);
    for (std::size_t threads = 2; threads <= 7; ++threads) CHECK(run<bit::cpu<float>>(p, threads, 9) == expected);
  }
}
