// SPDX-License-Identifier: Apache-2.0
// Choosing the instruction set, and what its kernels promise about addresses.
#include <doctest/doctest.h>
#include <bit/backend/cpu/isa/backward_dispatch.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/error.hpp>

#include "random_data.hpp"

namespace {

constexpr std::size_t cache_line = 64 / sizeof(double);

/// Doubles of which the first lies `offset` doubles after a multiple of 64 bytes.
class placed {
 public:
  placed(std::size_t count, std::size_t offset) : room_(count + 2 * cache_line), count_(count) {
    const std::size_t past = reinterpret_cast<std::uintptr_t>(room_.data()) / sizeof(double) % cache_line;
    begin_ = (cache_line - past) % cache_line + offset;
  }
  double* data() { return room_.data() + begin_; }
  std::vector<double> values() const { return {room_.data() + begin_, room_.data() + begin_ + count_}; }

 private:
  std::vector<double> room_;
  std::size_t count_, begin_ = 0;
};

/// What standardisation makes of a kernel (6, columns), forward and backward, with all its doubles at `offset`.
template <class T>
std::vector<double> standardised(bit::detail::instruction_set isa, std::size_t columns, std::size_t offset) {
  const auto& forward = bit::detail::microkernels_of<T>(isa);
  const auto& backward = bit::detail::backward_microkernels_of(isa);
  const std::size_t width = forward.tile_columns, rows = 6;
  REQUIRE(backward.tile_columns == width);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> w(rows * width), g(rows * width), dw(rows * width, 1.0F);
  for (float& v : w) v = normal(random);
  for (float& v : g) v = normal(random);
  placed mean(width, offset), scale(width, offset), sums(width, offset), squares(width, offset);
  for (std::size_t c = 0; c < width; ++c) mean.data()[c] = normal(random), scale.data()[c] = 1 + 0.1 * normal(random);

  forward.column_sums(sums.data(), squares.data(), mean.data(), reinterpret_cast<const std::byte*>(w.data()),
                      columns * sizeof(float), rows, columns);
  std::vector<T> packed(rows * width);
  forward.scale_columns(packed.data(), reinterpret_cast<const std::byte*>(w.data()), columns * sizeof(float), rows,
                        columns, mean.data(), scale.data());
  backward.standardise_sums(sums.data(), squares.data(), g.data(), w.data(), columns, rows, columns, mean.data(),
                            scale.data());
  backward.standardise_apply(dw.data(), g.data(), w.data(), columns, rows, columns, mean.data(), scale.data(),
                             scale.data(), sums.data(), squares.data());
  std::vector<double> found = sums.values();
  for (const double v : squares.values()) found.push_back(v);
  for (const T v : packed) found.push_back(static_cast<float>(v));
  for (const float v : dw) found.push_back(v);
  return found;
}

}  // namespace

TEST_CASE("the best instruction set is the default, BIT_ISA pins another") {
  const auto isas = bit::available_isas();
  REQUIRE(isas.front() == "scalar");
  CHECK(bit::detail::name_of(bit::detail::default_instruction_set()) == isas.back());
  for (const std::string& isa : isas) {
    const test::pinned_isa pin(isa);
    CHECK(bit::detail::name_of(bit::detail::default_instruction_set()) == isa);
  }
}

TEST_CASE("an unknown instruction set is refused with the known ones") {
  const test::pinned_isa pin("sse9");
  CHECK_THROWS_WITH_AS(bit::detail::default_instruction_set(), doctest::Contains("scalar"), bit::config_error);
}

TEST_CASE("standardisation takes doubles at any address") {
  for (const std::string& name : bit::available_isas()) {
    const auto isa = bit::detail::instruction_set_of(name);
    const std::size_t width = bit::detail::microkernels_of<float>(isa).tile_columns;
    for (const std::size_t columns : {width, width - 3})
      for (std::size_t offset = 1; offset < cache_line; ++offset) {
        CAPTURE(name);
        CAPTURE(offset);
        CHECK(standardised<float>(isa, columns, offset) == standardised<float>(isa, columns, 0));
        CHECK(standardised<bit::bfloat16>(isa, columns, offset) == standardised<bit::bfloat16>(isa, columns, 0));
      }
  }
}
