// SPDX-License-Identifier: Apache-2.0
// Seeded feature tables with labels for the probes' tests.
#pragma once

#include <bit/eval/feature_view.hpp>
#include <cstddef>
#include <random>
#include <vector>

struct labelled_table {
  std::size_t rows, columns, classes;
  std::vector<float> values{};
  std::vector<std::size_t> labels{};

  bit::eval::feature_view view() const { return {values, rows, columns}; }
};

/// Gaussian rows with a mean of 3 (so that a missing centring shows), moved by 1 along the axis of their class.
inline labelled_table random_table(std::size_t rows, std::size_t columns, std::size_t classes, unsigned seed) {
  labelled_table t{rows, columns, classes};
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < rows; ++i) {
    t.labels.push_back(i % classes);
    for (std::size_t j = 0; j < columns; ++j)
      t.values.push_back(3.0F + normal(rng) + (j % classes == i % classes ? 1.0F : 0.0F));
  }
  return t;
}
