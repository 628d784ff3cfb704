// SPDX-License-Identifier: Apache-2.0
// Bodies of random.hpp.
#pragma once

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include <bit/random.hpp>

namespace bit::inline BIT_ABI {
namespace detail {

BIT_FUNC std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  // Multipliers and key increments: the paper's table 2 and section 4.3 (golden ratio, sqrt(3) - 1).
  constexpr std::uint64_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
  constexpr std::uint32_t w0 = 0x9E3779B9u, w1 = 0xBB67AE85u;
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x & 0xffffffffu); };
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = m0 * counter[0], b = m1 * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
    key = {key[0] + w0, key[1] + w1};
  }
  return counter;
}

}  // namespace detail

BIT_FUNC std::uint32_t random_stream::bits() {
  if (used_ == values_.size()) {
    const auto part = [](std::uint64_t x, int shift) { return static_cast<std::uint32_t>((x >> shift) & 0xffffffffu); };
    values_ = detail::philox({block_++, static_cast<std::uint32_t>(purpose_), part(index_, 0), part(index_, 32)},
                             {part(seed_, 0), part(seed_, 32)});
    used_ = 0;
  }
  return values_[used_++];
}

BIT_FUNC double random_stream::uniform() {
  const std::uint64_t high = bits() >> 5, low = bits() >> 6;  // 27 + 26 bits
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

BIT_FUNC std::uint64_t random_stream::below(std::uint64_t n) {
  // The smallest mask that holds n-1; what falls beyond it is drawn again, less than half of all.
  std::uint64_t mask = n - 1;
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  while (true) {
    std::uint64_t value = bits();
    if (mask > 0xffffffffu) value = (value << 32) | bits();
    if ((value & mask) < n) return value & mask;
  }
}

BIT_FUNC double random_stream::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

BIT_FUNC double random_stream::log_gamma(double shape) {
  if (shape < 1.0) {  // the paper's section 6: Gamma(a) = Gamma(a + 1) U^(1/a)
    const double log_u = std::log(1.0 - uniform());
    return log_gamma(shape + 1.0) + log_u / shape;
  }
  const double d = shape - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = normal(), root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    if (std::log(1.0 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

BIT_FUNC double random_stream::gamma(double shape) { return std::exp(log_gamma(shape)); }

BIT_FUNC double random_stream::beta(double a, double b) {
  const double x = log_gamma(a), y = log_gamma(b);
  return 1.0 / (1.0 + std::exp(y - x));
}

BIT_FUNC std::vector<std::size_t> random_permutation(std::size_t n, std::uint64_t seed, random_purpose purpose,
                                                     std::uint64_t index) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  random_stream random(seed, purpose, index);
  for (std::size_t left = n; left > 1; --left)
    std::swap(order[left - 1], order[static_cast<std::size_t>(random.below(left))]);
  return order;
}

}  // namespace bit::inline BIT_ABI
