// SPDX-License-Identifier: Apache-2.0
// A header-only unit of a program that is compiled with -ffast-math: what must be refused for being NaN or infinite still is.
#include <doctest/doctest.h>
#include <bit/model/predict.hpp>
#include <bit/train/mixup.hpp>
#include <bit/train/sgd.hpp>
#include <cmath>
#include <limits>

#include "parameters.hpp"

namespace {

// Read at run time, so that nothing is decided by the compiler's knowledge of the value.
const volatile float run_time_nan = std::numeric_limits<float>::quiet_NaN();
const volatile float run_time_infinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("the flags do what this is about: the standard's test takes NaN for a number") {
  CHECK(std::isfinite(run_time_nan));
}

TEST_CASE("bits tell NaN and infinity from numbers") {
  for (const float bad : {float{run_time_nan}, float{run_time_infinity}, -run_time_infinity}) {
    CHECK_FALSE(bit::detail::is_finite(bad));
    CHECK_FALSE(bit::detail::is_finite(double{bad}));
    CHECK_FALSE(bit::detail::is_within(bad, 0, 1));
    CHECK_FALSE(bit::detail::is_non_negative(bad));
  }
  CHECK(bit::detail::is_nan(double{run_time_nan}));
  CHECK_FALSE(bit::detail::is_nan(double{run_time_infinity}));
  for (const float good :
       {0.0f, -0.0f, 1.0f, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max()})
    CHECK(bit::detail::is_finite(good));
}

TEST_CASE("a gradient of NaN stops the update, logits of NaN have no order, and NaN is no option") {
  parameter_set set;
  set.add("w", {2}, {1, 1}, {1, run_time_nan});
  bit::train::sgd by(set.get(), {.clip_norm = 1});
  CHECK_THROWS_AS(by.step(0.1), bit::diverged_error);
  CHECK(set.value(0) == std::vector<float>{1, 1});
  CHECK_THROWS_AS(by.step(run_time_nan), bit::config_error);

  bit::matrix<float> logits = xt::zeros<float>({1, 3});
  logits(0, 1) = run_time_nan;
  CHECK_THROWS_AS(bit::top_k(logits, 1), bit::diverged_error);
  CHECK_THROWS_AS(bit::train::mixup_lambda(run_time_nan, 0, 0), bit::config_error);
}
