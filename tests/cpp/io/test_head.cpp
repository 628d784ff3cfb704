// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <numeric>

#include "fixture.hpp"

using bit::io::adapt_head;
using bit::io::head;

namespace {

bit::io::checkpoint small_checkpoint() {
  bit::io::checkpoint c;
  c.config = fixture::small_config();
  c.tensors = fixture::make_tensors(c.config);
  c.stored.assign(c.tensors.size(), bit::io::dtype::float32);
  return c;
}

/// Does the checkpoint hold exactly the tensors of its configuration?
bool consistent(const bit::io::checkpoint& c) {
  const auto specs = bit::tensor_specs(c.config);
  if (specs.size() != c.tensors.size() || specs.size() != c.stored.size()) return false;
  for (std::size_t i = 0; i < specs.size(); ++i)
    if (specs[i].name != c.tensors[i].name || specs[i].shape != c.tensors[i].shape) return false;
  return true;
}

}  // namespace

TEST_CASE("a head is kept, dropped, zeroed or drawn, and the rest is shared") {
  const auto from = small_checkpoint();
  CHECK(fixture::same_tensors(adapt_head(from, head::keep()).tensors, from.tensors));
  for (const auto& [to, classes] :
       {std::pair{head::drop(), std::size_t{0}}, {head::zero(7), 7}, {head::fresh(9, 1), 9}}) {
    const auto adapted = adapt_head(from, to);
    CHECK(adapted.config.num_classes == classes);
    CHECK(consistent(adapted));
    CHECK(adapted.tensors[0].data == from.tensors[0].data);
    CHECK(consistent(adapt_head(adapted, head::zero(3))));  // also onto a network without one
  }
  CHECK_THROWS_AS(adapt_head(from, head::zero(0)), bit::config_error);
}

TEST_CASE("a zero head is zero, a fresh one normal with deviation 0.01 and the same for the same seed") {
  const auto from = small_checkpoint();
  const auto kernel = [&](const head& to) { return fixture::values_of(adapt_head(from, to).tensors.end()[-2]); };
  for (float v : kernel(head::zero(4))) CHECK(v == 0);
  const auto drawn = kernel(head::fresh(101, 5));
  CHECK(drawn == kernel(head::fresh(101, 5)));
  CHECK(drawn != kernel(head::fresh(101, 6)));
  const double n = static_cast<double>(drawn.size());
  const double mean = std::accumulate(drawn.begin(), drawn.end(), 0.0) / n;
  const double square = std::inner_product(drawn.begin(), drawn.end(), drawn.begin(), 0.0) / n;
  // 103,424 values: five standard errors are 1.6e-4 for the mean and 1.1e-4 for the deviation.
  CHECK(std::abs(mean) < 1.6e-4);
  CHECK(std::abs(std::sqrt(square) - 0.01) < 1.1e-4);
  for (float v : fixture::values_of(adapt_head(from, head::fresh(4, 5)).tensors.back())) CHECK(v == 0);
}
