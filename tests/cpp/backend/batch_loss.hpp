// SPDX-License-Identifier: Apache-2.0
// Mean softmax cross-entropy of labels, written plainly for tests.
#pragma once

#include <bit/model/loss_function.hpp>
#include <cmath>
#include <vector>

namespace test {

template <class T>
struct cross_entropy final : bit::loss_function<T> {
  std::vector<std::size_t> labels;
  explicit cross_entropy(std::vector<std::size_t> of) : labels(std::move(of)) {}

  double operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                    std::size_t classes) const override {
    double loss = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const T* row = logits.data() + i * classes;
      double largest = static_cast<double>(row[0]), sum = 0;
      for (std::size_t c = 1; c < classes; ++c) largest = std::max(largest, static_cast<double>(row[c]));
      for (std::size_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(row[c]) - largest);
      loss += largest + std::log(sum) - static_cast<double>(row[labels[i]]);
      for (std::size_t c = 0; c < classes; ++c) {
        const double p = std::exp(static_cast<double>(row[c]) - largest) / sum;
        gradient[i * classes + c] = static_cast<T>((p - (c == labels[i] ? 1.0 : 0.0)) / static_cast<double>(n));
      }
    }
    return loss / static_cast<double>(n);
  }
};

}  // namespace test
