// SPDX-License-Identifier: Apache-2.0
// Winograd convolutions on every instruction set, against reference<double> on awkward geometry; the choice of the weight layout.
#include <doctest/doctest.h>
#include <bit/error.hpp>

#include "one_convolution.hpp"

namespace {

using bit::algorithm;
using test::geometry;

/// Largest error of an output of one 3x3 convolution, relative to the largest value.
double error_of(const geometry& g, algorithm a, std::uint32_t seed) {
  const bit::program p = test::make_program(g, seed);
  const auto got = test::run<bit::cpu<float>>(p, 2, seed, {a});
  const auto expected = test::run<bit::reference<double>>(p, 1, seed);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, test::relative_error(got[i], expected[i]));
  return worst;
}

// Images smaller than a tile, odd sides, one channel, channels beside the block's and the panel's size, batches, maps cut
// into several groups by rows and within one row, small maps that share a group.
const geometry cases[] = {
    {.cin = 16, .cout = 16, .groups = 4, .size = 3, .h = 1, .w = 1, .n = 1},
    {.cin = 1, .cout = 1, .size = 3, .h = 2, .w = 1, .n = 1},
    {.cin = 5, .cout = 7, .size = 3, .h = 2, .w = 3, .n = 3},
    {.cin = 16, .cout = 33, .groups = 3, .size = 3, .h = 3, .w = 2},
    {.cin = 17, .cout = 15, .groups = 5, .size = 3, .h = 1, .w = 9, .n = 1},
    {.cin = 31, .cout = 48, .groups = 16, .size = 3, .h = 9, .w = 1},
    {.cin = 33, .cout = 40, .groups = 8, .size = 3, .h = 5, .w = 7, .n = 7},
    {.cin = 48, .cout = 64, .groups = 32, .size = 3, .h = 13, .w = 14, .n = 3},
    {.cin = 32, .cout = 32, .groups = 32, .size = 3, .h = 37, .w = 50, .n = 2},
    {.cin = 16, .cout = 16, .groups = 4, .size = 3, .h = 4, .w = 270, .n = 1},
    {.cin = 16, .cout = 16, .size = 3, .h = 15, .w = 16, .n = 0},
    {.cin = 256, .cout = 64, .groups = 32, .size = 3, .h = 7, .w = 7, .n = 5},
};

// Worst of these cases on any instruction set: 6.6e-7 and 2.4e-6 (256 channels). A wrong pixel, tap or channel is wrong
// by 1e-2 and more.
constexpr double tolerance_2x2 = 2e-6, tolerance_4x4 = 7e-6;

/// A tensor whose values can be read in place.
class values_in_place final : public bit::tensor_data {
 public:
  explicit values_in_place(const bit::named_tensor& from) : values_(9 * from.shape[2] * from.shape[3]) {
    from.data->read(std::span<float>(values_));
  }
  void read(std::span<float> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }
  void read(std::span<double> out) const override { std::copy(values_.begin(), values_.end(), out.begin()); }
  std::span<const std::byte> bytes() const override { return std::as_bytes(std::span(values_)); }

 private:
  std::vector<float> values_;
};

/// A tensor of a damaged file.
class damaged final : public bit::tensor_data {
 public:
  explicit damaged(bool in_place) : in_place_(in_place) {}
  void read(std::span<float>) const override { throw bit::format_error("damaged"); }
  void read(std::span<double>) const override { throw bit::format_error("damaged"); }
  std::span<const std::byte> bytes() const override {
    if (in_place_) throw bit::format_error("damaged");
    return {};
  }

 private:
  bool in_place_;
};

bit::named_tensor& kernel_of(bit::program& p) {
  return *std::find_if(p.parameters.begin(), p.parameters.end(),
                       [](const bit::named_tensor& t) { return t.name == "conv/kernel"; });
}

std::shared_ptr<const bit::cpu<float>::weights> freeze(const bit::program& p, algorithm a) {
  return std::make_shared<const bit::cpu<float>::weights>(p, bit::freeze_options{a});
}

}  // namespace

TEST_CASE("both Winograd layouts compute every awkward convolution like reference<double> on every instruction set") {
  for (const std::string& isa : bit::available_isas()) {
    const test::pinned_isa pin(isa);
    std::uint32_t seed = 200;
    for (const geometry& g : cases) {
      ++seed;
      CAPTURE(isa);
      CAPTURE(seed);
      CHECK(error_of(g, algorithm::winograd_2x2, seed) < tolerance_2x2);
      CHECK(error_of(g, algorithm::winograd_4x4, seed) < tolerance_4x4);
    }
  }
}

TEST_CASE("the tolerances notice one weight that is off by a thousandth") {
  const geometry g{.cin = 24, .cout = 40, .groups = 8, .size = 3};
  bit::program p = test::make_program(g, 5);
  const auto expected = test::run<bit::reference<double>>(p, 1, 5);
  std::vector<float> values(9 * 24 * 40);
  kernel_of(p).data->read(std::span<float>(values));
  values[777] += 1e-3f;
  kernel_of(p).data = std::make_shared<test::stored_values>(values);
  for (const algorithm a : {algorithm::winograd_2x2, algorithm::winograd_4x4})
    CHECK(test::relative_error(test::run<bit::cpu<float>>(p, 2, 5, {a})[0], expected[0]) > tolerance_4x4);
}

TEST_CASE("a forced Winograd layout leaves the convolutions alone that it does not apply to") {
  for (const geometry& g : {geometry{.cin = 24, .cout = 40, .groups = 8, .size = 3, .stride = 2},
                            geometry{.cin = 16, .cout = 32, .groups = 2, .size = 3, .dilation = 2},
                            geometry{.cin = 16, .cout = 16, .size = 3, .residual = true},
                            geometry{.cin = 20, .cout = 40, .groups = 4, .projection = true}}) {
    const bit::program p = test::make_program(g, 3);
    CHECK(test::run<bit::cpu<float>>(p, 2, 3, {algorithm::winograd_4x4}) ==
          test::run<bit::cpu<float>>(p, 2, 3, {algorithm::direct}));
  }
}

TEST_CASE("Winograd results are the same to the bit for 1 to 7 threads") {
  for (const geometry& g : {geometry{.cin = 64, .cout = 160, .groups = 16, .size = 3, .h = 29, .w = 57},
                            geometry{.cin = 48, .cout = 96, .groups = 32, .size = 3, .h = 7, .w = 7, .n = 9}})
    for (const algorithm a : {algorithm::winograd_2x2, algorithm::winograd_4x4}) {
      const bit::program p = test::make_program(g, 9);
      const auto expected = test::run<bit::cpu<float>>(p, 1, 9, {a});
      for (std::size_t threads = 2; threads <= 7; ++threads)
        CHECK(test::run<bit::cpu<float>>(p, threads, 9, {a}) == expected);
    }
}

TEST_CASE("the textbook points 0, +-1, +-2 would break the bound that ours keep") {
  // One tile of 256 channels in plain float loops; only the matrices differ.
  constexpr std::size_t channels = 256;
  const double s = std::sqrt(0.5), r = std::sqrt(2.0);
  struct points {
    double input[6][6], kernel[6][3], output[4][6];
  };
  const points textbook = {{{4, 0, -5, 0, 1, 0},
                            {0, -4, -4, 1, 1, 0},
                            {0, 4, -4, -1, 1, 0},
                            {0, -2, -1, 2, 1, 0},
                            {0, 2, -1, -2, 1, 0},
                            {0, 4, 0, -5, 0, 1}},
                           {{1. / 4, 0, 0},
                            {-1. / 6, -1. / 6, -1. / 6},
                            {-1. / 6, 1. / 6, -1. / 6},
                            {1. / 24, 1. / 12, 1. / 6},
                            {1. / 24, -1. / 12, 1. / 6},
                            {0, 0, 1}},
                           {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}}};
  const points ours = {
      {{1, 0, -2.5, 0, 1, 0},
       {0, -r, -2, s, 1, 0},
       {0, r, -2, -s, 1, 0},
       {0, -s, -.5, r, 1, 0},
       {0, s, -.5, -r, 1, 0},
       {0, 1, 0, -2.5, 0, 1}},
      {{1, 0, 0},
       {-2. / 3, -2. / 3 * s, -1. / 3},
       {-2. / 3, 2. / 3 * s, -1. / 3},
       {1. / 6, r / 6, 1. / 3},
       {1. / 6, -r / 6, 1. / 3},
       {0, 0, 1}},
      {{1, 1, 1, 1, 1, 0}, {0, s, -s, r, -r, 0}, {0, .5, .5, 2, 2, 0}, {0, .5 * s, -.5 * s, 2 * r, -2 * r, 1}}};
  const auto error = [&](const points& p, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    float sum[6][6] = {};
    double exact[4][4] = {};
    for (std::size_t c = 0; c < channels; ++c) {
      float d[6][6], g[3][3];
      for (auto& row : d)
        for (float& v : row) v = std::max(normal(random), 0.0f);
      for (auto& row : g)
        for (float& v : row) v = normal(random);
      for (int y = 0; y < 16; ++y)
        for (int k = 0; k < 9; ++k)
          exact[y / 4][y % 4] += static_cast<double>(d[y / 4 + k / 3][y % 4 + k % 3]) * g[k / 3][k % 3];
      float down[6][6];
      for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 6; ++j) {
          down[i][j] = 0;
          for (int k = 0; k < 6; ++k) down[i][j] += static_cast<float>(p.input[i][k]) * d[k][j];
        }
      for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 6; ++j) {
          float v = 0;
          for (int k = 0; k < 6; ++k) v += static_cast<float>(p.input[j][k]) * down[i][k];
          double u = 0;
          for (int k = 0; k < 9; ++k) u += p.kernel[i][k / 3] * p.kernel[j][k % 3] * g[k / 3][k % 3];
          sum[i][j] += v * static_cast<float>(u);
        }
    }
    double worst = 0, largest = 0;
    for (int y = 0; y < 16; ++y) {
      float v = 0;
      for (int k = 0; k < 36; ++k)
        v += static_cast<float>(p.output[y / 4][k / 6] * p.output[y % 4][k % 6]) * sum[k / 6][k % 6];
      worst = std::max(worst, std::abs(v - exact[y / 4][y % 4]));
      largest = std::max(largest, std::abs(exact[y / 4][y % 4]));
    }
    return worst / largest;
  };
  double of_textbook = 0, of_ours = 0;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    of_textbook += error(textbook, seed);
    of_ours += error(ours, seed);
  }
  CAPTURE(of_textbook / 20);
  CAPTURE(of_ours / 20);
  CHECK(of_ours / 20 < 2e-6);      // measured 1.3e-6
  CHECK(of_textbook / 20 > 2e-6);  // measured 3.6e-6
}

TEST_CASE("the cost model chooses as measured on the 3x3 layers of R50x1") {
  using bit::detail::weight_layout;
  const bit::detail::microkernel_table<float>* table = nullptr;
  for (const std::string& isa : bit::available_isas())
    if (isa == "avx512") table = &bit::detail::microkernels_of<float>(bit::detail::instruction_set_of(isa));
  if (!table) return;
  const auto layout = [&](std::size_t images, std::size_t side, std::size_t channels, algorithm a) {
    return bit::detail::choose_weight_layout({images, side, side, channels, channels}, a, *table);
  };
  // Batch 1: the kernel's bytes decide in the last stages. Batch 8: products do everywhere.
  CHECK(layout(1, 56, 64, algorithm::automatic) == weight_layout::winograd_4x4);
  CHECK(layout(1, 28, 128, algorithm::automatic) == weight_layout::winograd_4x4);
  CHECK(layout(1, 14, 256, algorithm::automatic) == weight_layout::winograd_2x2);
  CHECK(layout(1, 7, 512, algorithm::automatic) == weight_layout::winograd_2x2);
  for (std::size_t stage = 0; stage < 4; ++stage)
    CHECK(layout(8, 56U >> stage, std::size_t{64} << stage, algorithm::automatic) == weight_layout::winograd_4x4);
  // A map of one tile cannot pay for larger weights, unless told to.
  CHECK(layout(1, 2, 512, algorithm::automatic) == weight_layout::direct);
  CHECK(layout(1, 2, 512, algorithm::winograd) == weight_layout::winograd_2x2);
  CHECK(layout(1, 2, 512, algorithm::winograd_4x4) == weight_layout::winograd_4x4);
  CHECK(layout(8, 56, 64, algorithm::direct) == weight_layout::direct);
}

TEST_CASE("a kernel is stored only in the layouts that existing plans need") {
  const geometry g{.cin = 32, .cout = 32, .groups = 8, .size = 3, .h = 8, .w = 8, .n = 1};
  bit::program p = test::make_program(g, 4), q = p;
  kernel_of(q).data = std::make_shared<values_in_place>(kernel_of(q));
  const std::size_t one_tap = 32 * 32 * sizeof(float);
  const std::size_t others = freeze(q, algorithm::winograd_4x4)->bytes();  // waits in its file
  CHECK(freeze(p, algorithm::winograd_4x4)->bytes() == others + 9 * one_tap);
  CHECK(freeze(q, algorithm::direct)->bytes() == others + 9 * one_tap);
  for (const bit::program* source : {&p, &q}) {
    const auto weights = freeze(*source, algorithm::winograd_4x4);
    {
      const bit::detail::cpu_plan<float> plan(*source, weights), same(*source, weights);
      CHECK(weights->bytes() == others + 36 * one_tap);
    }
    CHECK(weights->bytes() == others);
    const bit::detail::cpu_plan<float> later(*source, weights);
    CHECK(weights->bytes() == others + 36 * one_tap);
  }
}

TEST_CASE("the values of a weight layout do not depend on how it came about") {
  const geometry g{.cin = 33, .cout = 47, .groups = 47, .size = 3};
  bit::program p = test::make_program(g, 4), q = p;
  kernel_of(q).data = std::make_shared<values_in_place>(kernel_of(q));
  for (const algorithm a : {algorithm::direct, algorithm::winograd_2x2, algorithm::winograd_4x4})
    CHECK(test::run<bit::cpu<float>>(p, 2, 4, {a}) == test::run<bit::cpu<float>>(q, 2, 4, {a}));
}

TEST_CASE("a damaged kernel is found when the model is frozen, whatever layout it would take") {
  const geometry g{.cin = 16, .cout = 16, .size = 3};
  for (const bool in_place : {false, true})
    for (const algorithm a : {algorithm::automatic, algorithm::direct, algorithm::winograd_4x4}) {
      bit::program p = test::make_program(g, 4);
      kernel_of(p).data = std::make_shared<damaged>(in_place);
      CHECK_THROWS_AS(freeze(p, a), bit::format_error);
    }
}
