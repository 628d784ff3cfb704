// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/error.hpp>
#include <bit/eval/knn.hpp>
#include <cmath>
#include <numeric>

#include "random_features.hpp"

namespace {

namespace eval = bit::eval;

double cosine(const labelled_table& a, std::size_t i, const labelled_table& b, std::size_t j) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t c = 0; c < a.columns; ++c) {
    const double x = static_cast<double>(a.values[i * a.columns + c]),
                 y = static_cast<double>(b.values[j * b.columns + c]);
    dot += x * y, aa += x * x, bb += y * y;
  }
  return dot / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("neighbours are those of a full sort by cosine, beyond one block of rows") {
  const auto train = random_table(700, 5, 3, 1), queries = random_table(520, 5, 3, 2);
  const std::size_t k = 7;
  const auto found = eval::nearest_neighbours(train.view(), queries.view(), k);
  for (std::size_t q = 0; q < queries.rows; q += 37) {
    std::vector<std::size_t> order(train.rows);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return cosine(queries, q, train, a) > cosine(queries, q, train, b);
    });
    for (std::size_t i = 0; i < k; ++i) {
      CHECK(found.rows(q, i) == order[i]);
      // Sums of five products in double precision agree to a few ulp; the next neighbour is 1e-7 away or more.
      CHECK(std::abs(found.similarities(q, i) - cosine(queries, q, train, order[i])) < 1e-12);
    }
  }
}

TEST_CASE("the majority wins and a tie goes to the smaller class") {
  const std::vector<float> train{1, 0, 1, 0.1F, 0, 1, 0.1F, 1};
  const std::vector<std::size_t> labels{2, 2, 1, 1};
  const std::vector<float> query{1, 0.05F};
  CHECK(eval::knn_classify({train, 4, 2}, labels, 3, {query, 1, 2}, 3) == std::vector<std::size_t>{2});
  CHECK(eval::knn_classify({train, 4, 2}, labels, 3, {query, 1, 2}, 4) == std::vector<std::size_t>{1});
}

TEST_CASE("equal rows keep their order and a vector of zeros is similar to nothing") {
  const std::vector<float> train{0, 0, 1, 1, 2, 2, -1, -1};
  const std::vector<float> query{3, 3};
  const auto found = eval::nearest_neighbours({train, 4, 2}, {query, 1, 2}, 4);
  CHECK(found.rows(0, 0) == 1);
  CHECK(found.rows(0, 1) == 2);
  CHECK(found.rows(0, 2) == 0);
  CHECK(found.similarities(0, 2) == 0.0);
  CHECK(found.similarities(0, 3) == doctest::Approx(-1.0));
}

TEST_CASE("wrong sizes and a wrong k are refused with their numbers") {
  const auto t = random_table(4, 3, 2, 3), other = random_table(4, 5, 2, 3);
  CHECK_THROWS_WITH_AS(eval::nearest_neighbours(t.view(), t.view(), 5),
                       "[nearest_neighbours] expected k in [1, 4], the number of rows to search, got 5",
                       bit::shape_error);
  CHECK_THROWS_AS(eval::nearest_neighbours(t.view(), t.view(), 0), bit::shape_error);
  CHECK_THROWS_AS(eval::nearest_neighbours(t.view(), other.view(), 1), bit::shape_error);
  CHECK_THROWS_AS(eval::knn_classify(t.view(), std::vector<std::size_t>{0, 1}, 2, t.view(), 1), bit::shape_error);
  auto broken = t;
  broken.values[0] = std::nanf("");
  CHECK_THROWS_AS(eval::nearest_neighbours(broken.view(), t.view(), 1), bit::config_error);
}
