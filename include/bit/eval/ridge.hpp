// SPDX-License-Identifier: Apache-2.0
// Linear probe: ridge regression of one-hot labels in closed form, its strength chosen by leave-one-out.
// The few-shot evaluation of arXiv:1912.11370 and arXiv:2106.04560 in seconds instead of a fine-tuning run.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <bit/config.hpp>
#include <bit/eval/feature_view.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::eval {

/// One tried ridge strength and the mean squared error over examples and classes that leave-one-out gives it.
struct ridge_candidate {
  double lambda = 0;
  double error = 0;
};

/// A linear classifier: scores = x * weights + bias.
struct ridge_classifier {
  matrix<double> weights;                   ///< (features, classes)
  std::vector<double> bias;                 ///< (classes)
  double lambda = 0;                        ///< the strength that was used
  std::vector<ridge_candidate> candidates;  ///< what was tried; empty if one strength was given
};

/// Solves min_w sum (x w + b - y)^2 + lambda |w|^2 with targets y = +1 for an example's class and -1 for the others;
/// b is not penalised. `lambdas`: one value is used as it is (0 is allowed if the problem is well posed); of several
/// the one with the least exact leave-one-out error wins, the larger one of equals; none means decades from 1e-4 to
/// 1e3 times the mean eigenvalue of the centred Gram matrix, so that the choice does not depend on the features' scale.
/// Works in double precision on min(rows, columns) dimensions: with several strengths one eigendecomposition serves
/// them all, with one a Cholesky factorisation does. Memory: three such square matrices, and rows x columns doubles
/// only if rows <= columns. Throws shape_error (sizes, labels), config_error (a negative or non-finite lambda, a
/// singular problem, features that are not finite). Thread-safe.
BIT_FUNC ridge_classifier fit_ridge(const feature_view& x, std::span<const std::size_t> labels, std::size_t classes,
                                    std::span<const double> lambdas = {});

/// Scores (rows, classes) of each row; the largest is the predicted class. Throws shape_error. Thread-safe.
BIT_FUNC matrix<double> ridge_scores(const ridge_classifier& model, const feature_view& x);

}  // namespace bit::inline BIT_ABI::eval

#if BIT_HEADER_ONLY
#include <bit/eval/ridge.ipp>
#endif
