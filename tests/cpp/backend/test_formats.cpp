// SPDX-License-Identifier: Apache-2.0
// Formats that the library does not ship, to show that cpu_format, a product and nothing else make one: activations
// in float with weights in bfloat16, and a factor for each output channel's sums.
#include <doctest/doctest.h>

#include "one_convolution.hpp"

// The bodies, because the library holds those of float and bfloat16 alone.
#include <bit/backend/cpu/conv.ipp>
#include <bit/backend/cpu/isa/microkernels_of.ipp>
#include <bit/backend/cpu/packed_weights.ipp>
#include <bit/backend/cpu/plan.ipp>
#include <bit/backend/cpu/stem.ipp>
#include <bit/backend/cpu/winograd.ipp>

namespace test {

/// Half the bytes of weights, which are most of what a small batch reads, beside activations at full precision.
struct bfloat16_weights {};
/// Floats, whose sums are multiplied by a factor per output channel.
struct scaled_columns {};

}  // namespace test

template <>
struct bit::cpu_format<test::bfloat16_weights> {
  using feature_map = float;
  using weight = bfloat16;
  using accumulator = float;
  static constexpr bool column_scale = false;
};

template <>
struct bit::cpu_format<test::scaled_columns> {
  using feature_map = float;
  using weight = float;
  using accumulator = float;
  static constexpr bool column_scale = true;
};

static_assert(bit::backend<bit::cpu<test::bfloat16_weights>>);

namespace {

using test::geometry;

template <class Backend>
double error_of(const geometry& g, std::uint32_t seed) {
  const bit::program p = test::make_program(g, seed);
  const auto got = test::run<Backend>(p, 2, seed);
  const auto expected = test::run<bit::reference<double>>(p, 1, seed);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, test::relative_error(got[i], expected[i]));
  return worst;
}

/// One register tile of `rows` pixels and two blocks of 16 channels; `scale` may be null where the format takes none.
template <class F>
std::vector<float> tile_of(bit::detail::instruction_set isa, std::size_t rows, const float* scale) {
  const auto& microkernels = bit::detail::microkernels_of<F>(isa);
  const std::size_t width = microkernels.tile_columns, blocks = width / 16;
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::vector<float> a(2 * rows * 16), b(2 * 16 * width), y(blocks * rows * 16, -1.0f);
  for (float& v : a) v = normal(random);
  for (float& v : b) v = normal(random);
  const bit::detail::segment<float> segment{reinterpret_cast<const std::byte*>(a.data()), rows * 16, 2, b.data()};
  bit::detail::tile_output<float> out{};
  out.y = y.data();
  out.y_stride = rows * 16;
  out.blocks = blocks;
  out.column_scale = scale;
  microkernels.tile[rows - 1](&segment, 1, out);
  return y;
}

}  // namespace

TEST_CASE("activations in float with weights in bfloat16 compute every kind of convolution") {
  const geometry cases[] = {
      {},
      {.cin = 33, .cout = 33, .groups = 11, .h = 14, .w = 15, .residual = true},
      {.cin = 20, .cout = 48, .groups = 16, .stride = 2, .projection = true},
      {.cin = 24, .cout = 40, .groups = 8, .size = 3, .stride = 2, .h = 7, .w = 9},
      {.cin = 31, .cout = 33, .groups = 3, .size = 3, .h = 2, .w = 3},
      {.cin = 64, .cout = 64, .groups = 32, .size = 3, .h = 29, .w = 57, .n = 1},
      {.cin = 720, .cout = 40, .groups = 8, .size = 3, .stride = 2, .h = 6, .w = 7},
  };
  for (const std::string& isa : bit::available_isas()) {
    const test::pinned_isa pin(isa);
    CAPTURE(isa);
    std::uint32_t seed = 300;
    for (const geometry& g : cases) {
      CAPTURE(++seed);
      const double error = error_of<bit::cpu<test::bfloat16_weights>>(g, seed);
      // A weight is rounded to 8 bits, as its pixel is where the instruction takes bfloat16 only: 2^-9 of each product.
      // Measured: 2.0e-3 to 5.7e-3, over all of these cases and instruction sets.
      CHECK(error < 1e-2);
      CHECK(error > 1e-5);  // floats would be off by less than 3e-6 (test_cpu_steps.cpp): weights are rounded
    }
  }
}

TEST_CASE("a format may multiply each output channel's sums by a factor of its own") {
  for (const std::string& name : bit::available_isas()) {
    const auto isa = bit::detail::instruction_set_of(name);
    const auto& table = bit::detail::microkernels_of<float>(isa);
    CAPTURE(name);
    std::vector<float> scale(table.tile_columns);
    for (std::size_t c = 0; c < scale.size(); ++c) scale[c] = 0.5f + static_cast<float>(c) / 7;
    for (std::size_t rows = 1; rows <= table.tile_rows; ++rows) {
      std::vector<float> expected = tile_of<float>(isa, rows, nullptr);
      const std::vector<float> got = tile_of<test::scaled_columns>(isa, rows, scale.data());
      CHECK(got != expected);
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] *= scale[i / (rows * 16) * 16 + i % 16];
      CHECK(got == expected);
    }
  }
}
