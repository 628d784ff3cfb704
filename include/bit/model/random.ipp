// SPDX-License-Identifier: Apache-2.0
// Bodies of model/random.hpp.
#pragma once

#include <bit/model/random.hpp>
#include <cmath>
#include <numbers>

namespace bit::inline BIT_ABI {
namespace detail {

/// SplitMix64 (Steele, Lea, Flood 2014): a bijection of the counter, so any value can be computed on its own.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// Normal values computed when they are read, or a constant if `spread` is 0.
class generated_data final : public tensor_data {
 public:
  generated_data(std::uint64_t seed, const std::string& name, double mean, double spread)
      : key_(seed), mean_(mean), spread_(spread) {
    for (const char c : name) key_ = mix(key_ ^ static_cast<unsigned char>(c));
  }
  void read(std::span<float> out) const override { fill(out); }
  void read(std::span<double> out) const override { fill(out); }
  bool is_snapshot() const override { return true; }

 private:
  /// Box and Muller: value i from counter i. Rounded to float for every T, so that all backends see the same numbers.
  template <class T>
  void fill(std::span<T> out) const {
    for (std::size_t i = 0; i < out.size(); ++i) {
      double value = mean_;
      if (spread_ > 0) {
        const std::uint64_t a = mix(key_ + 2 * i), b = mix(key_ + 2 * i + 1);
        const double u = (static_cast<double>(a >> 11) + 1.0) * 0x1p-53, angle = static_cast<double>(b >> 11) * 0x1p-53;
        value += spread_ * std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * angle);
      }
      out[i] = static_cast<T>(static_cast<float>(value));
    }
  }

  std::uint64_t key_;
  double mean_, spread_;
};

inline named_tensor generated(const tensor_spec& spec, std::uint64_t seed, double mean, double spread) {
  return {spec.name, spec.shape, std::make_shared<generated_data>(seed, spec.name, mean, spread)};
}

inline std::vector<tensor_spec> head_specs(std::size_t features, std::size_t classes) {
  return {{"resnet/head/conv2d/kernel", {1, 1, features, classes}}, {"resnet/head/conv2d/bias", {classes}}};
}

}  // namespace detail

BIT_FUNC std::vector<named_tensor> random_tensors(const resnet_config& config, std::uint64_t seed) {
  std::vector<named_tensor> tensors;
  for (const tensor_spec& spec : tensor_specs(config)) {
    if (spec.name.starts_with("resnet/head/")) continue;
    if (spec.shape.size() == 4) {
      const auto fan_out = static_cast<double>(spec.shape[0] * spec.shape[1] * spec.shape[3]);
      tensors.push_back(detail::generated(spec, seed, 0, std::sqrt(2.0 / fan_out)));
    } else {
      tensors.push_back(detail::generated(spec, seed, spec.name.ends_with("gamma") ? 1 : 0, 0));
    }
  }
  if (config.num_classes > 0)
    for (named_tensor& t : random_head(config.num_features(), config.num_classes, seed))
      tensors.push_back(std::move(t));
  return tensors;
}

BIT_FUNC std::vector<named_tensor> random_head(std::size_t features, std::size_t classes, std::uint64_t seed) {
  const auto specs = detail::head_specs(features, classes);
  return {detail::generated(specs[0], seed, 0, 0.01), detail::generated(specs[1], seed, 0, 0)};
}

BIT_FUNC std::vector<named_tensor> zero_head(std::size_t features, std::size_t classes) {
  const auto specs = detail::head_specs(features, classes);
  return {detail::generated(specs[0], 0, 0, 0), detail::generated(specs[1], 0, 0, 0)};
}

}  // namespace bit::inline BIT_ABI
