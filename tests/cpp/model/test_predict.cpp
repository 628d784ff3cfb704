// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/model/predict.hpp>
#include <limits>

TEST_CASE("softmax of large logits neither overflows nor loses the sum") {
  const bit::matrix<float> logits{{1000.0f, 1001.0f, -1e9f}, {0.0f, 0.0f, 0.0f}};
  const auto p = bit::softmax(logits);
  CHECK(p(0, 1) == doctest::Approx(1 / (1 + std::exp(-1.0))).epsilon(1e-6));
  CHECK(p(0, 2) == 0.0f);
  CHECK(p(1, 0) == doctest::Approx(1.0 / 3).epsilon(1e-6));
}

TEST_CASE("top_k gives the best classes first, ties by index, and no more than there are") {
  const bit::matrix<double> logits{{0, 3, 3, 1}, {7, 0, 0, 0}};
  const auto best = bit::top_k(logits, 9);
  REQUIRE(best.size() == 4);
  CHECK(best[0].index == 1);
  CHECK(best[1].index == 2);
  CHECK(best[2].index == 3);
  CHECK(best[0].probability == best[1].probability);
  CHECK(bit::top_k(logits, 1).size() == 1);
  CHECK(bit::top_k(logits, 1, 1).front().index == 0);
}

TEST_CASE("logits without an order are refused, and so are rows that are not there") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  const bit::matrix<double> logits{{0, nan, 2}, {0, infinity, 1}, {0, -infinity, 1}};
  CHECK_THROWS_WITH_AS(bit::top_k(logits, 1),
                       "[top_k] expected finite logits, got NaN or infinity in row 0; the image or the weights are not "
                       "finite",
                       bit::diverged_error);
  CHECK_THROWS_AS(bit::top_k(logits, 1, 1), bit::diverged_error);
  CHECK(bit::top_k(logits, 3, 2).back().probability == 0);  // minus infinity is no chance at all
  CHECK_THROWS_WITH_AS(bit::top_k(logits, 1, 3), "[top_k] expected a row below 3, the number of images, got 3",
                       bit::shape_error);
}
