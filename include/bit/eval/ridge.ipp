// SPDX-License-Identifier: Apache-2.0
// Bodies of eval/ridge.hpp. With centred rows X (n,d) and centred targets Y (n,c):
//   n <= d (dual):   w = X' (X X' + lambda)^-1 Y          n > d (primal): w = (X' X + lambda)^-1 X' Y
// Leave-one-out needs no refit: e_i = residual_i / (1 - H_ii), H the hat matrix with the intercept's 1/n.
#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/eval/ridge.hpp>

namespace bit::inline BIT_ABI::eval {

namespace ridge_detail {

using row_matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using table = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

inline constexpr Eigen::Index block_rows = 1024;  // rows widened to double at a time: 16 MiB at 2048 features

inline Eigen::Index index(std::size_t i) { return static_cast<Eigen::Index>(i); }

inline table as_table(const feature_view& x) { return {x.values.data(), index(x.rows), index(x.columns)}; }

/// What the solvers share: the data, its means and the targets' class frequencies.
struct problem {
  table x;
  std::span<const std::size_t> labels;
  Eigen::Index classes;
  Eigen::RowVectorXd mean{};         // (d)
  Eigen::RowVectorXd target_mean{};  // (c): 2 n_c / n - 1

  Eigen::Index n() const { return x.rows(); }

  /// Rows [first, first + count) less the mean.
  row_matrix centred(Eigen::Index first, Eigen::Index count) const {
    row_matrix rows = x.middleRows(first, count).cast<double>();
    rows.rowwise() -= mean;
    return rows;
  }

  /// Their targets less the target mean.
  row_matrix targets(Eigen::Index first, Eigen::Index count) const {
    row_matrix y = row_matrix::Constant(count, classes, -1.0);
    for (Eigen::Index i = 0; i < count; ++i) y(i, index(labels[static_cast<std::size_t>(first + i)])) = 1.0;
    y.rowwise() -= target_mean;
    return y;
  }

  /// Calls f(first, count) for consecutive blocks of rows.
  template <class F>
  void for_blocks(F f) const {
    for (Eigen::Index i = 0; i < n(); i += block_rows) f(i, std::min(block_rows, n() - i));
  }
};

inline problem make_problem(const feature_view& x, std::span<const std::size_t> labels, std::size_t classes) {
  problem p{as_table(x), labels, index(classes)};
  p.mean = Eigen::RowVectorXd::Zero(p.x.cols());
  p.for_blocks([&](Eigen::Index first, Eigen::Index count) {
    p.mean += p.x.middleRows(first, count).cast<double>().colwise().sum();
  });
  p.mean /= static_cast<double>(p.n());
  p.target_mean = Eigen::RowVectorXd::Constant(p.classes, -1.0);
  for (std::size_t label : labels) p.target_mean(index(label)) += 2.0 / static_cast<double>(p.n());
  return p;
}

/// The square system of the smaller side, and how its solution becomes weights.
struct gram_system {
  bool dual;
  row_matrix rows{};        // dual only: all centred rows (n,d)
  Eigen::MatrixXd gram{};   // (r,r), r = min(n,d)
  Eigen::MatrixXd right{};  // dual: Y (n,c); primal: X'Y (d,c)

  Eigen::MatrixXd weights(const Eigen::MatrixXd& solution) const {
    return dual ? Eigen::MatrixXd(rows.transpose() * solution) : solution;
  }
};

inline gram_system make_system(const problem& p) {
  gram_system s{p.n() <= p.x.cols()};
  if (s.dual) {
    s.rows = p.centred(0, p.n());
    s.gram = s.rows * s.rows.transpose();
    s.right = p.targets(0, p.n());
    return s;
  }
  s.gram = Eigen::MatrixXd::Zero(p.x.cols(), p.x.cols());
  s.right = Eigen::MatrixXd::Zero(p.x.cols(), p.classes);
  p.for_blocks([&](Eigen::Index first, Eigen::Index count) {
    const row_matrix block = p.centred(first, count);
    s.gram.noalias() += block.transpose() * block;
    s.right.noalias() += block.transpose() * p.targets(first, count);
  });
  return s;
}

inline std::vector<double> default_lambdas(const Eigen::MatrixXd& gram) {
  const double mean = gram.trace() / static_cast<double>(gram.rows());
  std::vector<double> lambdas;
  for (int decade = -4; decade <= 3; ++decade) lambdas.push_back((mean > 0 ? mean : 1.0) * std::pow(10.0, decade));
  return lambdas;
}

/// Sum of squared leave-one-out errors in the dual: residuals U diag(lambda/(s+lambda)) U'Y, 1 - H = the same with U'.
inline double dual_error(const Eigen::MatrixXd& u, const Eigen::VectorXd& s, const Eigen::MatrixXd& uy, double lambda) {
  const Eigen::VectorXd shrink = lambda / (s.array() + lambda);
  const Eigen::VectorXd keep = (u.cwiseAbs2() * shrink).array() - 1.0 / static_cast<double>(u.rows());  // 1 - H_ii
  const Eigen::MatrixXd residual = u * (shrink.asDiagonal() * uy);
  return (residual.array().colwise() / keep.array().max(1e-12)).square().sum();
}

/// The same sums in the primal for all strengths; the rows are projected once per block, which costs most.
inline std::vector<double> primal_errors(const problem& p, const Eigen::MatrixXd& v, const Eigen::VectorXd& s,
                                         const Eigen::MatrixXd& vxy, std::span<const double> lambdas) {
  std::vector<double> totals(lambdas.size());
  p.for_blocks([&](Eigen::Index first, Eigen::Index count) {
    const Eigen::MatrixXd projected = p.centred(first, count) * v, squares = projected.cwiseAbs2();
    const Eigen::MatrixXd targets = p.targets(first, count);
    for (std::size_t i = 0; i < lambdas.size(); ++i) {
      const Eigen::VectorXd shrink = (s.array() + lambdas[i]).inverse();
      const Eigen::VectorXd keep = 1.0 - 1.0 / static_cast<double>(p.n()) - (squares * shrink).array();
      const Eigen::MatrixXd residual = targets - projected * (shrink.asDiagonal() * vxy);
      totals[i] += (residual.array().colwise() / keep.array().max(1e-12)).square().sum();
    }
  });
  return totals;
}

inline std::vector<double> dual_errors(const Eigen::MatrixXd& u, const Eigen::VectorXd& s, const Eigen::MatrixXd& uy,
                                       std::span<const double> lambdas) {
  std::vector<double> totals;
  for (double lambda : lambdas) totals.push_back(dual_error(u, s, uy, lambda));
  return totals;
}

/// Tries all strengths on one eigendecomposition; fills `out` and returns the weights of the best.
inline Eigen::MatrixXd solve_best(const problem& p, const gram_system& system, std::span<const double> lambdas,
                                  ridge_classifier& out) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(system.gram);
  const Eigen::MatrixXd& u = eigen.eigenvectors();
  const Eigen::VectorXd s = eigen.eigenvalues().cwiseMax(0.0);
  const Eigen::MatrixXd projected = u.transpose() * system.right;
  const double entries = static_cast<double>(p.n()) * static_cast<double>(p.classes);
  double best = std::numeric_limits<double>::infinity();
  const std::vector<double> sums =
      system.dual ? dual_errors(u, s, projected, lambdas) : primal_errors(p, u, s, projected, lambdas);
  for (std::size_t i = 0; i < lambdas.size(); ++i) {
    out.candidates.push_back({lambdas[i], sums[i] / entries});
    if (sums[i] < best || (sums[i] == best && lambdas[i] > out.lambda)) best = sums[i], out.lambda = lambdas[i];
  }
  const Eigen::VectorXd inverse = (s.array() + out.lambda).inverse();
  return system.weights(u * (inverse.asDiagonal() * projected));
}

inline Eigen::MatrixXd solve_one(gram_system& system, double lambda) {
  system.gram.diagonal().array() += lambda;
  const Eigen::LLT<Eigen::MatrixXd> factor(system.gram);
  // Below this the squares in the Gram matrix have lost all digits of the solution.
  if (factor.info() != Eigen::Success || factor.rcond() < 1e-15)
    throw config_error("[fit_ridge] the problem is singular with lambda = " + std::to_string(lambda) +
                       "; expected a larger lambda, or none to have it chosen");
  return system.weights(factor.solve(system.right));
}

}  // namespace ridge_detail

BIT_FUNC ridge_classifier fit_ridge(const feature_view& x, std::span<const std::size_t> labels, std::size_t classes,
                                    std::span<const double> lambdas) {
  check_features(x, "fit_ridge");
  check_labels(labels, x, classes, "fit_ridge");
  for (double lambda : lambdas)
    if (!detail::is_non_negative(lambda) || (lambda == 0 && lambdas.size() > 1))
      throw config_error("[fit_ridge] expected finite lambdas above 0 (or 0 alone), got " + std::to_string(lambda));
  const ridge_detail::problem p = ridge_detail::make_problem(x, labels, classes);
  ridge_detail::gram_system system = ridge_detail::make_system(p);
  ridge_classifier out;
  Eigen::MatrixXd weights;
  if (lambdas.size() == 1) {
    out.lambda = lambdas[0];
    weights = ridge_detail::solve_one(system, out.lambda);
  } else {
    const std::vector<double> grid = ridge_detail::default_lambdas(system.gram);
    weights = ridge_detail::solve_best(p, system, lambdas.empty() ? std::span<const double>(grid) : lambdas, out);
  }
  const Eigen::RowVectorXd bias = p.target_mean - p.mean * weights;
  out.bias.assign(bias.data(), bias.data() + bias.size());
  out.weights = matrix<double>::from_shape({x.columns, classes});
  Eigen::Map<ridge_detail::row_matrix>(out.weights.data(), p.x.cols(), p.classes) = weights;
  return out;
}

BIT_FUNC matrix<double> ridge_scores(const ridge_classifier& model, const feature_view& x) {
  check_features(x, "ridge_scores");
  if (x.columns != model.weights.shape(0))
    throw shape_error("[ridge_scores] expected " + std::to_string(model.weights.shape(0)) +
                      " features, as the classifier was fitted on, got " + std::to_string(x.columns));
  const std::size_t classes = model.bias.size();
  matrix<double> scores = matrix<double>::from_shape({x.rows, classes});
  using ridge_detail::row_matrix;
  const ridge_detail::table rows = ridge_detail::as_table(x);
  const Eigen::Map<const row_matrix> weights(model.weights.data(), rows.cols(), ridge_detail::index(classes));
  const Eigen::Map<const Eigen::RowVectorXd> bias(model.bias.data(), ridge_detail::index(classes));
  Eigen::Map<row_matrix> out(scores.data(), rows.rows(), ridge_detail::index(classes));
  for (Eigen::Index i = 0; i < rows.rows(); i += ridge_detail::block_rows) {
    const Eigen::Index count = std::min(ridge_detail::block_rows, rows.rows() - i);
    out.middleRows(i, count).noalias() = rows.middleRows(i, count).cast<double>() * weights;
  }
  out.rowwise() += bias;
  return scores;
}

}  // namespace bit::inline BIT_ABI::eval
