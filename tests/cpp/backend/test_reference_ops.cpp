// SPDX-License-Identifier: Apache-2.0
// The reference operations against values worked out by hand.
#include <doctest/doctest.h>
#include <bit/backend/reference/ops.hpp>

namespace ref = bit::detail::ref;
using map = bit::tensor4<double>;

namespace {

map one_channel(std::initializer_list<std::initializer_list<double>> rows) {
  auto x = map::from_shape({1, rows.size(), rows.begin()->size(), 1});
  auto out = x.begin();
  for (const auto& row : rows)
    for (const double v : row) *out++ = v;
  return x;
}

}  // namespace

TEST_CASE("standardise gives mean 0 and variance v / (v + eps) per output channel") {
  map w = map::from_shape({1, 1, 4, 2});
  const double values[] = {1, 10, 2, 10, 3, 10, 4, 10};
  std::copy(std::begin(values), std::end(values), w.begin());
  const map s = ref::standardise(w, 1e-10);
  const double sd = std::sqrt(1.25);  // of 1, 2, 3, 4, biased
  CHECK(s(0, 0, 0, 0) == doctest::Approx(-1.5 / sd).epsilon(1e-9));
  CHECK(s(0, 0, 3, 0) == doctest::Approx(1.5 / sd).epsilon(1e-9));
  for (std::size_t i = 0; i < 4; ++i) CHECK(s(0, 0, i, 1) == 0.0);  // a constant filter: zeros, not NaN
}

TEST_CASE("conv2d slides, strides, pads and dilates") {
  const map x = one_channel({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}});
  map ones = xt::ones<double>({3, 3, 1, 1});
  CHECK(ref::conv2d(x, ones, {.size = 3})(0, 0, 0, 0) == 45);
  const map padded = ref::conv2d(x, ones, {.size = 3, .stride = 2, .padding = 1});
  CHECK(padded.shape()[1] == 2);
  CHECK(padded(0, 0, 0, 0) == 1 + 2 + 4 + 5);
  CHECK(padded(0, 1, 1, 0) == 5 + 6 + 8 + 9);
  const map dilated = ref::conv2d(x, ones, {.size = 3, .padding = 2, .dilation = 2});
  CHECK(dilated(0, 0, 0, 0) == 1 + 3 + 7 + 9);
  CHECK(dilated(0, 1, 1, 0) == 5);
}

TEST_CASE("zeros of the padding take part in the maximum") {
  const map negative = one_channel({{-1, -2, -3}, {-4, -5, -6}, {-7, -8, -9}});
  const map y = ref::max_pool(negative, bit::stem_pool);
  CHECK(y.shape()[1] == 2);
  for (const double v : y) CHECK(v == 0.0);  // every window touches the border; padding with -inf would give -1 ... -5
  CHECK(ref::max_pool(map(-negative), bit::stem_pool)(0, 1, 1, 0) == 9);
}

TEST_CASE("norm_relu normalises each group of each image on its own") {
  map x = map::from_shape({1, 1, 2, 4});
  const double values[] = {1, 3, 10, 10, 5, 7, 30, 50};
  std::copy(std::begin(values), std::end(values), x.begin());
  const map gamma = xt::ones<double>({1, 1, 1, 4}), beta = xt::zeros<double>({1, 1, 1, 4});
  const map y = ref::norm_relu(x, 2, gamma, beta, 1e-5);
  // Group 1 is {1,3,5,7}: mean 4, variance 5; group 2 is {10,10,30,50}: mean 25, variance 275.
  CHECK(y(0, 0, 0, 0) == 0.0);
  CHECK(y(0, 0, 1, 1) == doctest::Approx(3 / std::sqrt(5 + 1e-5)).epsilon(1e-12));
  CHECK(y(0, 0, 1, 3) == doctest::Approx(25 / std::sqrt(275 + 1e-5)).epsilon(1e-12));
}

TEST_CASE("NaN is passed on, not turned into 0") {
  map x = xt::ones<double>({1, 1, 1, 2});
  x(0, 0, 0, 0) = std::nan("");
  const map gamma = xt::ones<double>({1, 1, 1, 2}), beta = xt::zeros<double>({1, 1, 1, 2});
  CHECK(std::isnan(ref::norm_relu(x, 2, gamma, beta, 1e-5)(0, 0, 0, 0)));
}

TEST_CASE("spatial_mean averages rows and columns") {
  CHECK(ref::spatial_mean(one_channel({{1, 2}, {3, 6}}))(0, 0) == 3.0);
}
