// SPDX-License-Identifier: Apache-2.0
// Seeded test data and comparison.
#pragma once

#include <bit/program/parameter.hpp>
#include <bit/tensor.hpp>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

namespace test {

/// A tensor in memory.
class stored_values final : public bit::tensor_data {
 public:
  explicit stored_values(std::vector<float> values) : values_(std::move(values)) {}
  void read(std::span<float> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }
  void read(std::span<double> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }

 private:
  std::vector<float> values_;
};

/// Normal values around `mean`.
inline bit::named_tensor random_tensor(const std::string& name, std::vector<std::size_t> shape, std::mt19937& random,
                                       float mean, float spread) {
  std::normal_distribution<float> normal(mean, spread);
  std::size_t size = 1;
  for (std::size_t d : shape) size *= d;
  std::vector<float> values(size);
  for (float& v : values) v = normal(random);
  return {name, std::move(shape), std::make_shared<stored_values>(std::move(values))};
}

/// Images in [-1,1] as (n,c,h,w), in both precisions.
inline bit::tensor4<float> random_images(const bit::dims4& d, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  auto x = bit::tensor4<float>::from_shape({d.n, d.c, d.h, d.w});
  for (float& v : x) v = uniform(random);
  return x;
}

/// max |a - b| / max |b|; infinite if a value is not finite or sizes differ.
template <class A, class B>
double relative_error(const A& a, const B& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double difference = 0, largest = 0;
  auto x = a.begin();
  for (auto y = b.begin(); y != b.end(); ++x, ++y) {
    if (!std::isfinite(static_cast<double>(*x))) return HUGE_VAL;
    difference = std::max(difference, std::abs(static_cast<double>(*x) - static_cast<double>(*y)));
    largest = std::max(largest, std::abs(static_cast<double>(*y)));
  }
  return largest > 0 ? difference / largest : difference;
}

/// Pins BIT_ISA while it lives.
class pinned_isa {
 public:
  explicit pinned_isa(const std::string& name) { ::setenv("BIT_ISA", name.c_str(), 1); }
  ~pinned_isa() { ::unsetenv("BIT_ISA"); }
  pinned_isa(const pinned_isa&) = delete;
  pinned_isa& operator=(const pinned_isa&) = delete;
};

}  // namespace test
