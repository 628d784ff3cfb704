// Single steps of cpu<float>, every instruction set, against reference<double> on awkward geometry.
#include <doctest/doctest.h>
#include <bit/backend/cpu.hpp>
#include <bit/backend/reference.hpp>

#include "random_data.hpp"

namespace {

/// A stem that only makes a map out of the image, then one convolution under test.
struct geometry {
  std::size_t cin = 5, cout = 7, groups = 1, size = 1, stride = 1, dilation = 1, h = 9, w = 11, n = 2;
  bool residual = false, projection = false;
};

bit::norm_relu add_norm(bit::program& p, bit::value_id statistics, const std::string& name, std::size_t c,
                        std::mt19937& random) {
  const auto gamma = p.add(test::random_tensor(name + "/gamma", {c}, random, 1.0f, 0.3f));
  return {statistics, gamma, p.add(test::random_tensor(name + "/beta", {c}, random, 0.0f, 0.3f)), 1e-5};
}

bit::conv_source add_source(bit::program& p, bit::value_id x, bit::value_id statistics, const std::string& name,
                            std::size_t cout, bit::window window, std::mt19937& random) {
  const std::size_t cin = p[x].dims.c;
  const auto kernel =
      p.add(test::random_tensor(name + "/kernel", {window.size, window.size, cin, cout}, random, 0.5f, 1.0f));
  return {x, kernel, window, add_norm(p, statistics, name, cin, random), 1e-10};
}

bit::value_id add_map(bit::program& p, const std::string& name, bit::dims4 d) {
  return p.add(name, bit::value_kind::map, d);
}
bit::value_id add_statistics(bit::program& p, const std::string& name, std::size_t n, std::size_t groups) {
  return p.add(name, bit::value_kind::statistics, {n, groups, 1, 1});
}

/// image -> stem (1x1, then the pool) -> x -> convolution under test -> y -> final norm and pool.
bit::program make_program(const geometry& g, std::uint32_t seed) {
  std::mt19937 random(seed);
  bit::program p;
  const bit::dims4 image{g.n, 3, 2 * g.h, 2 * g.w};  // the pool halves it
  const auto input = p.add("image", bit::value_kind::image, image);
  const bit::window point{};
  const auto stem_kernel = p.add(test::random_tensor("stem/kernel", {1, 1, 3, g.cin}, random, 0.5f, 1.0f));
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
  const auto pooled = p.add("pooled", bit::value_kind::table, {g.n, g.cout, 1, 1});
  p.steps.push_back(bit::pool_step{conv.y, add_norm(p, *conv.statistics, "final", g.cout, random), features, pooled});
  p.outputs = {conv.y, features, pooled};
  return p;
}

template <class Backend>
std::vector<std::vector<typename Backend::value_type>> run(const bit::program& p, std::size_t threads,
                                                           std::uint32_t seed) {
  using T = typename Backend::value_type;
  const auto constants = std::make_shared<const typename Backend::constants>(p);
  const typename Backend::plan plan(p, constants);
  threads = Backend::threads(threads);
  typename Backend::workspace memory(plan.workspace_bytes(threads));
  const bit::tensor4<T> image = xt::cast<T>(test::random_images(p.values.front().dims, seed));
  std::vector<std::vector<T>> results;
  std::vector<T*> pointers;
  for (const bit::value_id id : p.outputs) results.emplace_back(p[id].dims.size());
  for (auto& r : results) pointers.push_back(r.data());
  bit::run_options options;
  options.threads = threads;
  REQUIRE(plan.run(bit::view_of(image.data(), p.values.front().dims, bit::layout::nchw), pointers, memory, options));
  return results;
}

/// Largest error over the three outputs, or infinity.
double step_error(const geometry& g, std::uint32_t seed, std::size_t threads = 2) {
  const bit::program p = make_program(g, seed);
  const auto got = run<bit::cpu<float>>(p, threads, seed);
  const auto expected = run<bit::reference<double>>(p, 1, seed);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, test::relative_error(got[i], expected[i]));
  return worst;
}

// One product of at most a few hundred terms between two norms: float rounding is 6e-8 per operation and the measured
// errors stay below 7e-7; a wrong pixel, channel, tap or statistic is wrong by 1e-2 and more.
constexpr double tolerance = 3e-6;

const geometry cases[] = {
    {},
    {.cin = 1, .cout = 1, .h = 1, .w = 1, .n = 1},
    {.cin = 15, .cout = 17, .h = 3, .w = 5},
    {.cin = 16, .cout = 32, .groups = 32, .h = 1, .w = 40},
    {.cin = 17, .cout = 33, .groups = 3, .h = 13, .w = 1},
    {.cin = 32, .cout = 32, .groups = 8, .residual = true},
    {.cin = 33, .cout = 33, .groups = 11, .h = 14, .w = 15, .residual = true},
    {.cin = 20, .cout = 40, .groups = 4, .projection = true},
    {.cin = 20, .cout = 48, .groups = 16, .stride = 2, .projection = true},
    {.cin = 7, .cout = 9, .groups = 3, .stride = 3, .h = 8, .w = 10},
    {.cin = 5, .cout = 7, .size = 3},
    {.cin = 16, .cout = 16, .groups = 4, .size = 3, .h = 1, .w = 1},
    {.cin = 31, .cout = 33, .groups = 3, .size = 3, .h = 2, .w = 3},
    {.cin = 24, .cout = 40, .groups = 8, .size = 3, .stride = 2, .h = 7, .w = 9},
    {.cin = 24, .cout = 40, .groups = 8, .size = 3, .stride = 2, .h = 8, .w = 6},
    {.cin = 8, .cout = 16, .groups = 2, .size = 3, .stride = 3, .h = 10, .w = 11},
    {.cin = 16, .cout = 32, .groups = 2, .size = 3, .dilation = 2, .h = 5, .w = 31},
    {.cin = 16, .cout = 32, .groups = 2, .size = 3, .dilation = 4, .h = 6, .w = 3},
    {.cin = 12, .cout = 16, .groups = 2, .size = 3, .stride = 2, .dilation = 2, .h = 9, .w = 9},
    {.cin = 64, .cout = 64, .groups = 32, .size = 3, .h = 29, .w = 57, .n = 1},
    {.cin = 256, .cout = 80, .groups = 16, .h = 29, .w = 57, .n = 3},
    {.cin = 16, .cout = 16, .size = 3, .h = 15, .w = 16, .n = 0},
};

}  // namespace

TEST_CASE("every instruction set computes every awkward step like reference<double>") {
  for (const std::string& isa : bit::available_isas()) {
    const test::pinned_isa pin(isa);
    std::uint32_t seed = 0;
    for (const geometry& g : cases) {
      ++seed;
      CAPTURE(isa);
      CAPTURE(seed);
      CHECK(step_error(g, seed) < tolerance);
    }
  }
}

TEST_CASE("reference<float> agrees with reference<double>, too") {
  std::uint32_t seed = 100;
  for (const geometry& g : cases) {
    const bit::program p = make_program(g, ++seed);
    const auto got = run<bit::reference<float>>(p, 1, seed);
    const auto expected = run<bit::reference<double>>(p, 1, seed);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(test::relative_error(got[i], expected[i]) < tolerance);
  }
}

TEST_CASE("the tolerance notices one weight that is off by a thousandth") {
  const geometry g{.cin = 24, .cout = 40, .groups = 8, .size = 3};
  bit::program p = make_program(g, 5);
  const auto expected = run<bit::reference<double>>(p, 1, 5);
  for (bit::named_tensor& t : p.constants)
    if (t.name == "conv/kernel") {
      std::vector<float> values(9 * 24 * 40);
      t.data->read(std::span<float>(values));
      values[777] += 1e-3f;
      t.data = std::make_shared<test::stored_values>(values);
    }
  const auto got = run<bit::cpu<float>>(p, 2, 5);
  CHECK(test::relative_error(got[0], expected[0]) > tolerance);
}

TEST_CASE("a mean a thousand times the spread costs group norm no digits") {
  // Statistics of x around 1000: one-pass float sums of squares would be wrong in the first digit.
  alignas(64) float pixels[29 * 16];
  std::mt19937 random(3);
  std::normal_distribution<float> normal(1000, 1);
  for (float& v : pixels) v = normal(random);
  for (const std::string& isa : bit::available_isas()) {
    alignas(64) double sums[32] = {};
    bit::detail::kernels_of(isa).single.accumulate_statistics(sums, pixels, 29);
    for (std::size_t c = 0; c < 16; ++c) {
      double mean = 0, squares = 0;
      for (std::size_t p = 0; p < 29; ++p) mean += pixels[p * 16 + c] / 29.0;
      for (std::size_t p = 0; p < 29; ++p) squares += (pixels[p * 16 + c] - mean) * (pixels[p * 16 + c] - mean);
      const double got = sums[16 + c] - sums[c] * sums[c] / 29;
      CHECK(got == doctest::Approx(squares).epsilon(1e-5));
    }
  }
}

TEST_CASE("results are the same to the bit for 1 to 7 threads") {
  for (const geometry& g : {geometry{.cin = 64, .cout = 80, .groups = 16, .size = 3, .h = 29, .w = 31},
                            geometry{.cin = 40, .cout = 96, .groups = 32, .h = 30, .w = 30, .projection = true}}) {
    const bit::program p = make_program(g, 9);
    const auto expected = run<bit::cpu<float>>(p, 1, 9);
    for (std::size_t threads = 2; threads <= 7; ++threads) CHECK(run<bit::cpu<float>>(p, threads, 9) == expected);
  }
}
