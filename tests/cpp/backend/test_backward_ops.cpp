// SPDX-License-Identifier: Apache-2.0
// The reference backend's backward operations against central differences of the reference operations, in double.
#include <doctest/doctest.h>
#include <bit/backend/reference/backward_ops.hpp>

#include <numeric>
#include <random>

namespace ref = bit::detail::ref;
using map = bit::tensor4<double>;
using shape = std::array<std::size_t, 4>;

namespace {

map random_map(const shape& s, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  auto x = map::from_shape(s);
  for (double& v : x) v = normal(random);
  return x;
}

double dot(const map& a, const map& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

/// |dx·v - (dy·f(x + hv) - dy·f(x - hv)) / 2h| relative to the larger of the two and to 1, for a random direction v.
template <class Function>
double gradient_error(const map& x, const map& dx, const map& dy, Function f) {
  constexpr double h = 1e-6;
  const map v = random_map(x.shape(), 99);
  const map above = f(map(x + h * v)), below = f(map(x - h * v));
  const double exact = dot(dx, v), measured = (dot(dy, above) - dot(dy, below)) / (2 * h);
  return std::abs(exact - measured) / std::max({1.0, std::abs(exact), std::abs(measured)});
}

// Central differences with h = 1e-6 lose about 1e-16 / 1e-6 to rounding and h² to curvature, times the sums' lengths;
// measured errors stay below 1e-8. A wrong factor or a missing term is an error of the order of 1.
constexpr double tolerance = 1e-7;

}  // namespace

TEST_CASE("standardise_backward is the gradient of standardise, for filters of any spread") {
  for (const shape& s : {shape{3, 3, 4, 5}, shape{1, 1, 7, 3}, shape{7, 7, 3, 2}})
    for (const double spread : {1.0, 0.05}) {
      const map w = 0.3 + spread * random_map(s, 1), dy = random_map(s, 2);
      const auto f = [](const map& x) { return ref::standardise(x, 1e-10); };
      CHECK(gradient_error(w, ref::standardise_backward(w, dy, 1e-10), dy, f) < tolerance / spread);
      CHECK(gradient_error(w, ref::standardise_backward(w, dy, 1.0), dy, f) > 1e-3);  // another eps is noticed
    }
}

TEST_CASE("backward data and backward weights of conv2d are its gradients for every window") {
  const bit::window windows[] = {{1, 1, 0, 1}, {1, 2, 0, 1}, {3, 1, 1, 1}, {3, 2, 1, 1},
                                 {3, 1, 2, 2}, {3, 2, 2, 2}, {7, 2, 3, 1}};
  for (const bit::window& w : windows)
    for (const auto& size : {std::pair{1, 1}, std::pair{5, 4}, std::pair{8, 7}}) {
      CAPTURE(w.size);
      CAPTURE(w.stride);
      CAPTURE(w.dilation);
      CAPTURE(size.first);
      const auto h = static_cast<std::size_t>(size.first), k = static_cast<std::size_t>(size.second);
      const map x = random_map({2, h, k, 3}, 3), kernel = random_map({w.size, w.size, 3, 4}, 4);
      const map dy = random_map({2, w.out(h), w.out(k), 4}, 5);
      CHECK(gradient_error(x, ref::conv2d_backward_data(dy, kernel, w, h, k), dy,
                           [&](const map& v) { return ref::conv2d(v, kernel, w); }) < tolerance);
      CHECK(gradient_error(kernel, ref::conv2d_backward_weights(x, dy, w), dy,
                           [&](const map& v) { return ref::conv2d(x, v, w); }) < tolerance);
    }
}

TEST_CASE("norm_relu_backward is the gradient for x, gamma and beta, for one group, several, and as many as channels") {
  for (const shape& s : {shape{2, 3, 4, 6}, shape{1, 1, 1, 6}, shape{3, 1, 5, 6}})
    for (const std::size_t groups : {1u, 2u, 6u}) {
      CAPTURE(groups);
      const map x = 0.5 + random_map(s, 6), dy = random_map(s, 7);
      const map gamma = random_map({1, 1, 1, 6}, 8), beta = random_map({1, 1, 1, 6}, 9);
      const double eps = 1e-2;  // groups of one pixel have variance 0: a small eps would make the function a step
      const auto g = ref::norm_relu_backward(x, dy, groups, gamma, beta, eps);
      CHECK(gradient_error(x, g.dx, dy, [&](const map& v) { return ref::norm_relu(v, groups, gamma, beta, eps); }) <
            tolerance);
      CHECK(gradient_error(gamma, g.dgamma, dy, [&](const map& v) { return ref::norm_relu(x, groups, v, beta, eps); }) <
            tolerance);
      CHECK(gradient_error(beta, g.dbeta, dy, [&](const map& v) { return ref::norm_relu(x, groups, gamma, v, eps); }) <
            tolerance);
    }
}

TEST_CASE("max_pool_backward is the gradient away from ties, odd and even sides") {
  for (const shape& s : {shape{2, 7, 6, 3}, shape{1, 1, 1, 4}, shape{1, 2, 5, 1}}) {
    const map x = random_map(s, 10);
    const map dy = random_map({s[0], bit::stem_pool.out(s[1]), bit::stem_pool.out(s[2]), s[3]}, 11);
    CHECK(gradient_error(x, ref::max_pool_backward(x, dy, bit::stem_pool), dy,
                         [](const map& v) { return ref::max_pool(v, bit::stem_pool); }) < tolerance);
  }
}

TEST_CASE(
    "max_pool_backward gives to the first of equals, and nothing where a zero of the padding is largest or first") {
  map x = xt::zeros<double>({1, 3, 3, 1});
  const map dy = xt::ones<double>({1, 2, 2, 1});
  x(0, 1, 1, 0) = x(0, 2, 2, 0) = 5;  // the first is in all four windows, the second only in the last
  map dx = ref::max_pool_backward(x, dy, bit::stem_pool);
  CHECK(dx(0, 1, 1, 0) == 4);
  CHECK(xt::sum(dx)() == 4);
  // All windows touch the border above or on the left but the last, whose first pixel is an image pixel; below and on
  // the right it meets zeros too, later.
  dx = ref::max_pool_backward(map(xt::zeros<double>({1, 3, 3, 1})), dy, bit::stem_pool);
  CHECK(dx(0, 1, 1, 0) == 1);
  CHECK(xt::sum(dx)() == 1);
  dx = ref::max_pool_backward(map(-xt::ones<double>({1, 3, 3, 1})), dy, bit::stem_pool);
  CHECK(xt::sum(dx)() == 0);
}

TEST_CASE("spatial_mean_backward spreads evenly") {
  const map dy = random_map({2, 1, 1, 3}, 12), x = random_map({2, 4, 5, 3}, 13);
  const map dx = ref::spatial_mean_backward(dy, 4, 5);
  CHECK(gradient_error(x, dx, dy, [](const map& v) {
          return map(
              xt::reshape_view(ref::spatial_mean(v), {std::size_t{2}, std::size_t{1}, std::size_t{1}, std::size_t{3}}));
        }) < tolerance);
}
