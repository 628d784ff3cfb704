// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/random.hpp>
#include <cmath>
#include <set>

using bit::random_permutation;
using bit::random_purpose;
using bit::random_stream;

namespace {

struct moments {
  double mean, variance;
};

template <class Draw>
moments moments_of(std::size_t count, Draw draw) {
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = draw(i);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / static_cast<double>(count);
  return {mean, squares / static_cast<double>(count) - mean * mean};
}

}  // namespace

TEST_CASE("Philox gives the vectors that its authors publish") {
  // kat_vectors of Random123 1.14, philox4x32 with 10 rounds.
  using block = std::array<std::uint32_t, 4>;
  CHECK(bit::detail::philox({0, 0, 0, 0}, {0, 0}) == block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t ones = 0xffffffff;
  CHECK(bit::detail::philox({ones, ones, ones, ones}, {ones, ones}) ==
        block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(bit::detail::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a stream is its seed, purpose and index, each of which makes another one") {
  const auto first = [](std::uint64_t seed, random_purpose purpose, std::uint64_t index) {
    random_stream random(seed, purpose, index);
    return (std::uint64_t{random.bits()} << 32) | random.bits();
  };
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed : {0ull, 1ull, 1ull << 32, 1ull << 63})
    for (auto purpose : {random_purpose::test, random_purpose::epoch_order, random_purpose::mixup_lambda})
      for (std::uint64_t index : {0ull, 1ull, 1ull << 32, 1ull << 63}) {
        seen.insert(first(seed, purpose, index));
        CHECK(first(seed, purpose, index) == first(seed, purpose, index));
      }
  CHECK(seen.size() == 4 * 3 * 4);
}

TEST_CASE("streams of neighbouring indices are not correlated") {
  // 100,000 pairs: a correlation of 1/sqrt(100,000) = 0.003 is chance, four times that is not.
  double sum = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i)
    sum += (random_stream(3, random_purpose::test, i).uniform() - 0.5) *
           (random_stream(3, random_purpose::test, i + 1).uniform() - 0.5) * 12;
  CHECK(std::abs(sum / 100'000) < 0.013);
}

TEST_CASE("uniform, normal, gamma and beta have the moments of their distributions") {
  constexpr std::size_t n = 200'000;
  // The standard error of a mean is sigma / 447; tolerances are four to five of them.
  random_stream random(1, random_purpose::test);
  const auto uniform = moments_of(n, [&](std::size_t) { return random.uniform(); });
  CHECK(uniform.mean == doctest::Approx(0.5).epsilon(0.006));
  CHECK(uniform.variance == doctest::Approx(1.0 / 12).epsilon(0.01));
  const auto normal = moments_of(n, [&](std::size_t) { return random.normal(); });
  CHECK(std::abs(normal.mean) < 0.01);
  CHECK(normal.variance == doctest::Approx(1).epsilon(0.016));
  for (double shape : {0.3, 1.0, 4.5}) {
    const auto gamma = moments_of(n, [&](std::size_t) { return random.gamma(shape); });
    CHECK(std::abs(gamma.mean - shape) < 4.5 * std::sqrt(shape / n));
    CHECK(gamma.variance == doctest::Approx(shape).epsilon(0.05));
    CHECK(std::abs(gamma.mean - 1.1 * shape) > 4.5 * std::sqrt(shape / n));  // the negative control
  }
  for (double a : {0.1, 1.0, 3.0}) {
    const auto beta = moments_of(n, [&](std::size_t) { return random.beta(a, a); });
    CHECK(beta.mean == doctest::Approx(0.5).epsilon(0.01));
    CHECK(beta.variance == doctest::Approx(1 / (4 * (2 * a + 1))).epsilon(0.02));
  }
  const auto skewed = moments_of(n, [&](std::size_t) { return random.beta(2, 6); });
  CHECK(skewed.mean == doctest::Approx(0.25).epsilon(0.01));
}

TEST_CASE("beta stays a number where gamma numbers underflow") {
  random_stream random(2, random_purpose::test);
  std::size_t ends = 0;
  for (int i = 0; i < 1000; ++i) {
    const double x = random.beta(1e-4, 1e-4);
    REQUIRE((x >= 0 && x <= 1));
    ends += x < 1e-6 || x > 1 - 1e-6 ? 1 : 0;
  }
  CHECK(ends > 990);  // such a weight is almost always 0 or 1
}

TEST_CASE("below() is uniform and never reaches n, beyond 32 bits, too") {
  random_stream random(5, random_purpose::test);
  std::array<std::size_t, 5> counts{};
  for (int i = 0; i < 50'000; ++i) ++counts[random.below(5)];
  for (std::size_t count : counts) CHECK(std::abs(static_cast<double>(count) - 10'000) < 4.5 * std::sqrt(8000.0));
  CHECK(random.below(1) == 0);
  bool beyond = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t x = random.below((1ull << 40) + 1);
    CHECK(x <= 1ull << 40);
    beyond |= x > 0xffffffffu;
  }
  CHECK(beyond);
}

TEST_CASE("permutations hold every number once, and each place is equally likely") {
  for (std::size_t n : {0u, 1u, 2u, 1000u}) {
    const auto order = random_permutation(n, 7, random_purpose::epoch_order, 3);
    CHECK(order.size() == n);
    CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == n);
    CHECK(order == random_permutation(n, 7, random_purpose::epoch_order, 3));
  }
  std::array<std::array<std::size_t, 6>, 6> counts{};
  for (std::uint64_t epoch = 0; epoch < 30'000; ++epoch) {
    const auto order = random_permutation(6, 7, random_purpose::epoch_order, epoch);
    for (std::size_t i = 0; i < 6; ++i) ++counts[i][order[i]];
  }
  for (const auto& row : counts)
    for (std::size_t count : row) CHECK(std::abs(static_cast<double>(count) - 5000) < 5 * std::sqrt(30'000.0 * 5 / 36));
}
