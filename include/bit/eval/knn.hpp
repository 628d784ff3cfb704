// SPDX-License-Identifier: Apache-2.0
// k nearest neighbours by cosine similarity: a probe with nothing to fit.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <bit/config.hpp>
#include <bit/eval/feature_view.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::eval {

/// The k rows most similar to each query, the most similar first; of equals the earlier row.
struct neighbours {
  matrix<std::size_t> rows;     ///< (queries, k), indices into the searched table
  matrix<double> similarities;  ///< (queries, k), cosines in [-1, 1]; 0 where a vector is all zeros
};

/// Finds them by exhaustive search in double precision; memory beyond the result: a few MiB.
/// Throws shape_error (sizes, k not in [1, rows of train]). Thread-safe.
BIT_FUNC neighbours nearest_neighbours(const feature_view& train, const feature_view& queries, std::size_t k);

/// The class that most of the k neighbours of each query have; of equally frequent ones the smallest number.
/// Throws shape_error (sizes, labels, k). Thread-safe.
BIT_FUNC std::vector<std::size_t> knn_classify(const feature_view& train, std::span<const std::size_t> labels,
                                               std::size_t classes, const feature_view& queries, std::size_t k);

}  // namespace bit::inline BIT_ABI::eval

#if BIT_HEADER_ONLY
#include <bit/eval/knn.ipp>
#endif
