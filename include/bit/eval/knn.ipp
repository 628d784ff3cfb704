// SPDX-License-Identifier: Apache-2.0
// Bodies of eval/knn.hpp: blocks of both tables are normalised and multiplied, a short sorted list per query is kept.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <string>

#include <bit/error.hpp>
#include <bit/eval/knn.hpp>

namespace bit::inline BIT_ABI::eval {

namespace knn_detail {

using row_matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

inline constexpr std::size_t block_rows = 512;

/// Rows [first, first + count) in double precision and of unit length; rows of zeros stay zeros.
inline row_matrix unit_rows(const feature_view& x, std::size_t first, std::size_t count) {
  const auto columns = static_cast<Eigen::Index>(x.columns), rows = static_cast<Eigen::Index>(count);
  const Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> values(
      x.values.data() + first * x.columns, rows, columns);
  row_matrix unit = values.cast<double>();
  for (Eigen::Index i = 0; i < rows; ++i) {
    const double length = unit.row(i).norm();
    if (length > 0) unit.row(i) /= length;
  }
  return unit;
}

/// Puts a row into a list sorted by falling similarity that holds `filled` of at most k entries.
inline void insert(std::size_t* rows, double* similarities, std::size_t filled, std::size_t k, std::size_t row,
                   double similarity) {
  if (filled == k && !(similarity > similarities[k - 1])) return;
  std::size_t at = filled == k ? k - 1 : filled;
  for (; at > 0 && similarity > similarities[at - 1]; --at) {
    similarities[at] = similarities[at - 1];
    rows[at] = rows[at - 1];
  }
  similarities[at] = similarity;
  rows[at] = row;
}

}  // namespace knn_detail

BIT_FUNC neighbours nearest_neighbours(const feature_view& train, const feature_view& queries, std::size_t k) {
  check_features(train, "nearest_neighbours");
  check_features(queries, "nearest_neighbours");
  if (train.columns != queries.columns)
    throw shape_error("[nearest_neighbours] expected queries of " + std::to_string(train.columns) +
                      " features, as the searched table has, got " + std::to_string(queries.columns));
  if (k < 1 || k > train.rows)
    throw shape_error("[nearest_neighbours] expected k in [1, " + std::to_string(train.rows) +
                      "], the number of rows to search, got " + std::to_string(k));
  neighbours found{matrix<std::size_t>::from_shape({queries.rows, k}), matrix<double>::from_shape({queries.rows, k})};
  using knn_detail::block_rows;
  for (std::size_t q = 0; q < queries.rows; q += block_rows) {
    const std::size_t nq = std::min(block_rows, queries.rows - q);
    const knn_detail::row_matrix query = knn_detail::unit_rows(queries, q, nq);
    for (std::size_t t = 0; t < train.rows; t += block_rows) {
      const std::size_t nt = std::min(block_rows, train.rows - t);
      const knn_detail::row_matrix product = query * knn_detail::unit_rows(train, t, nt).transpose();
      for (std::size_t i = 0; i < nq; ++i)
        for (std::size_t j = 0; j < nt; ++j)
          knn_detail::insert(&found.rows(q + i, 0), &found.similarities(q + i, 0), std::min(t + j, k), k, t + j,
                             product(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)));
    }
  }
  return found;
}

BIT_FUNC std::vector<std::size_t> knn_classify(const feature_view& train, std::span<const std::size_t> labels,
                                               std::size_t classes, const feature_view& queries, std::size_t k) {
  check_labels(labels, train, classes, "knn_classify");
  const neighbours found = nearest_neighbours(train, queries, k);
  std::vector<std::size_t> answer(queries.rows);
  std::vector<std::size_t> votes(classes);
  for (std::size_t q = 0; q < queries.rows; ++q) {
    std::fill(votes.begin(), votes.end(), std::size_t{0});
    for (std::size_t i = 0; i < k; ++i) ++votes[labels[found.rows(q, i)]];
    answer[q] = static_cast<std::size_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
  }
  return answer;
}

}  // namespace bit::inline BIT_ABI::eval
