// SPDX-License-Identifier: Apache-2.0
// From logits to answers.
#pragma once

#include <algorithm>
#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/tensor.hpp>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// This is a class, by its index in the head, and its probability.
struct prediction {
  std::size_t index;
  double probability;
};

/// Returns the probabilities (n,classes) of logits (n,classes); rows sum to 1. Logits may be large: the row's maximum
/// is taken off. A row with a NaN or an infinite maximum has no probabilities and becomes NaN.
template <class T>
matrix<T> softmax(const matrix<T>& logits) {
  matrix<T> result = logits;
  const std::size_t columns = logits.shape()[1];
  for (std::size_t n = 0; n < logits.shape()[0]; ++n) {
    T* row = result.data() + n * columns;
    const T best = columns > 0 ? *std::max_element(row, row + columns) : T(0);
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += row[c] = std::exp(row[c] - best);
    for (std::size_t c = 0; c < columns; ++c) row[c] = static_cast<T>(row[c] / sum);
  }
  return result;
}

/// Returns the k most probable classes (at most as many as there are) of one row of logits (n,classes), best first;
/// equal ones in the order of their indices. Throws shape_error for a row that is not there, and diverged_error for
/// logits that have no order because one is NaN or the largest is infinite: the image or the weights hold such numbers.
template <class T>
std::vector<prediction> top_k(const matrix<T>& logits, std::size_t k, std::size_t row = 0) {
  const std::size_t columns = logits.shape()[1];
  if (row >= logits.shape()[0])
    throw shape_error("[top_k] expected a row below " + std::to_string(logits.shape()[0]) +
                      ", the number of images, got " + std::to_string(row));
  auto one = matrix<T>::from_shape({1, columns});
  std::copy_n(logits.data() + row * columns, columns, one.begin());
  const matrix<T> probabilities = softmax(one);
  for (std::size_t c = 0; c < columns; ++c)
    if (detail::is_nan(static_cast<double>(probabilities.data()[c])))
      throw diverged_error("[top_k] expected finite logits, got NaN or infinity in row " + std::to_string(row) +
                           "; the image or the weights are not finite");
  k = std::min(k, columns);
  std::vector<std::size_t> order(columns);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const T* p = probabilities.data();
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                    [&](std::size_t a, std::size_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  std::vector<prediction> best;
  for (std::size_t i = 0; i < k; ++i) best.push_back({order[i], static_cast<double>(p[order[i]])});
  return best;
}

}  // namespace bit::inline BIT_ABI
