// SPDX-License-Identifier: Apache-2.0
// A program around one convolution, and how to run it on any backend.
#pragma once

#include <bit/backend/cpu.hpp>
#include <bit/backend/reference.hpp>

#include "random_data.hpp"

namespace test {

/// A stem that only makes a map out of the image, then one convolution under test.
struct geometry {
  std::size_t cin = 5, cout = 7, groups = 1, size = 1, stride = 1, dilation = 1, h = 9, w = 11, n = 2;
  bool residual = false, projection = false;
};

inline bit::norm_relu add_norm(bit::program& p, bit::value_id statistics, const std::string& name, std::size_t c,
                               std::mt19937& random) {
  const auto gamma = p.add(random_tensor(name + "/gamma", {c}, random, 1.0f, 0.3f));
  return {statistics, gamma, p.add(random_tensor(name + "/beta", {c}, random, 0.0f, 0.3f)), 1e-5};
}

inline bit::conv_source add_source(bit::program& p, bit::value_id x, bit::value_id statistics, const std::string& name,
                                   std::size_t cout, bit::window window, std::mt19937& random) {
  const std::size_t cin = p[x].dims.c;
  const auto kernel = p.add(random_tensor(name + "/kernel", {window.size, window.size, cin, cout}, random, 0.5f, 1.0f));
  return {x, kernel, window, add_norm(p, statistics, name, cin, random), 1e-10};
}

inline bit::value_id add_map(bit::program& p, const std::string& name, bit::dims4 d) {
  return p.add(name, bit::value_kind::feature_map, d);
}
inline bit::value_id add_statistics(bit::program& p, const std::string& name, std::size_t n, std::size_t groups) {
  return p.add(name, bit::value_kind::statistics, {n, groups, 1, 1});
}

/// image -> stem (1x1, then the pool) -> x -> convolution under test -> y -> final norm and pool.
inline bit::program make_program(const geometry& g, std::uint32_t seed) {
  std::mt19937 random(seed);
  bit::program p;
  const bit::dims4 image{g.n, 3, 2 * g.h, 2 * g.w};  // the pool halves it
  const auto input = p.add("image", bit::value_kind::image, image);
  const bit::window point{};
  const auto stem_kernel = p.add(random_tensor("stem/kernel", {1, 1, 3, g.cin}, random, 0.5f, 1.0f));
  const auto x = add_map(p, "x", {g.n, g.cin, g.h, g.w});
  const auto x_sums = add_statistics(p, "x/statistics", g.n, 1);
  p.steps.push_back(bit::stem_step{input, stem_kernel, point, 1e-10, {}, x, x_sums});

  const bit::window window{g.size, g.stride, (g.size - 1) / 2 * g.dilation, g.dilation};
  const bit::dims4 out{g.n, g.cout, window.out(g.h), window.out(g.w)};
  bit::conv_step conv{.main = add_source(p, x, x_sums, "conv", g.cout, window, random),
                      .projection = {},
                      .residual = {},
                      .y = {},
                      .statistics = {}};
  if (g.projection) conv.projection = add_source(p, x, x_sums, "projection", g.cout, window, random);
  if (g.residual) conv.residual = x;
  conv.y = add_map(p, "y", out);
  conv.statistics = add_statistics(p, "y/statistics", g.n, g.groups);
  p.steps.push_back(conv);

  const auto features = add_map(p, "features", out);
  const auto pooled = p.add("pooled", bit::value_kind::matrix, {g.n, g.cout, 1, 1});
  p.steps.push_back(bit::pool_step{conv.y, add_norm(p, *conv.statistics, "final", g.cout, random), features, pooled});
  p.outputs = {conv.y, features, pooled};
  return p;
}

template <class Backend>
std::vector<std::vector<typename Backend::value_type>> run(const bit::program& p, std::size_t threads,
                                                           std::uint32_t seed,
                                                           const bit::freeze_options& choices = {}) {
  using T = typename Backend::value_type;
  const auto weights = std::make_shared<const typename Backend::weights>(p, choices);
  const typename Backend::plan plan(p, weights);
  threads = Backend::threads(threads);
  typename Backend::workspace memory(plan.workspace_bytes(threads));
  const bit::tensor4<T> image = xt::cast<T>(random_images(p.values.front().dims, seed));
  std::vector<std::vector<T>> results;
  std::vector<T*> pointers;
  for (const bit::value_id id : p.outputs) results.emplace_back(p[id].dims.size());
  for (auto& r : results) pointers.push_back(r.data());
  bit::run_options options;
  options.threads = threads;
  REQUIRE(plan.run(bit::view_of(image.data(), p.values.front().dims, bit::layout::nchw), pointers, memory, options));
  return results;
}

}  // namespace test
