// What the tests of train/ share: parameters with values and gradients of their own.
#pragma once

#include <bit/program/trainable_parameter.hpp>
#include <random>
#include <string>
#include <vector>

/// Parameters in memory; `views` are what an optimizer gets.
class parameter_set {
 public:
  parameter_set() = default;
  parameter_set(const parameter_set&) = delete;
  parameter_set& operator=(const parameter_set&) = delete;

  std::size_t add(const std::string& name, std::vector<std::size_t> shape, std::vector<float> value = {},
                  std::vector<float> gradient = {}) {
    std::size_t size = 1;
    for (const std::size_t d : shape) size *= d;
    value.resize(size);
    gradient.resize(size);
    values.push_back(std::move(value));
    gradients.push_back(std::move(gradient));
    views.push_back({name, std::move(shape), values.back(), gradients.back()});
    return views.size() - 1;
  }
  /// Values and gradients from a seed, in [-1,1).
  void randomise(unsigned seed) {
    std::mt19937 random(seed);
    for (auto* list : {&values, &gradients})
      for (auto& one : *list)
        for (float& v : one) v = static_cast<float>(random()) * 0x1p-31f - 1;
  }

  std::vector<std::vector<float>> values, gradients;  // inner vectors keep their place when the outer ones grow
  std::vector<bit::trainable_parameter<float>> views;
};
