// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/data/augment.hpp>
#include <bit/error.hpp>
#include <cmath>
#include <map>

#include "pattern.hpp"

using namespace bit::data;

namespace {

std::vector<float> augmented(const bit::rgb_image& image, const augment_spec& spec, const augmentation& decided) {
  std::vector<float> out(3 * spec.crop * spec.crop);
  augment(image, spec, decided, out);
  return out;
}

}  // namespace

TEST_CASE("a crop is the part of the whole resized image, mirrored or not, in both layouts") {
  const auto image = noise(23, 37);
  for (auto method : {resampling::pillow, resampling::tf}) {
    for (auto order : {bit::layout::nchw, bit::layout::nhwc}) {
      const augment_spec spec{.resize = 20, .crop = 13, .method = method, .order = order};
      std::vector<float> whole(3 * 20 * 20);
      preprocess(image, {.height = 20, .width = 20, .method = method, .order = order}, whole);
      const auto at = [&](const std::vector<float>& x, std::size_t side, std::size_t row, std::size_t column,
                          std::size_t c) {
        return order == bit::layout::nchw ? x[(c * side + row) * side + column] : x[(row * side + column) * 3 + c];
      };
      for (const augmentation& decided : {augmentation{0, 0, false}, {7, 7, false}, {3, 5, false}, {3, 5, true}}) {
        const auto crop = augmented(image, spec, decided);
        bool same = true;
        for (std::size_t y = 0; y < 13; ++y)
          for (std::size_t x = 0; x < 13; ++x)
            for (std::size_t c = 0; c < 3; ++c)
              same &=
                  at(crop, 13, y, decided.flip ? 12 - x : x, c) == at(whole, 20, decided.top + y, decided.left + x, c);
        CHECK(same);
      }
    }
  }
}

TEST_CASE("values lie in [-1,1] and reach both ends") {
  auto image = noise(8, 8);
  image(0, 0, 0) = 0;
  image(0, 0, 1) = 255;
  const auto out = augmented(image, {.resize = 8, .crop = 8}, {});
  CHECK(std::ranges::min(out) == -1);
  CHECK(std::ranges::max(out) == 1);
}

TEST_CASE("draws are functions of seed and number: every crop is possible, half of the images are mirrored") {
  const augment_spec spec{.resize = 12, .crop = 10};
  std::map<std::pair<std::size_t, std::size_t>, int> counts;
  int flips = 0;
  for (std::uint64_t draw = 0; draw < 9000; ++draw) {
    const auto decided = draw_augmentation(spec, 4, draw);
    CHECK(decided == draw_augmentation(spec, 4, draw));
    ++counts[{decided.top, decided.left}];
    flips += decided.flip ? 1 : 0;
  }
  CHECK(counts.size() == 9);
  // Standard deviations: sqrt(9000/9 * 8/9) = 30 and sqrt(9000/4) = 47.
  for (const auto& [place, count] : counts) CHECK(std::abs(count - 1000) < 140);
  CHECK(std::abs(flips - 4500) < 210);
  int different = 0;
  for (std::uint64_t draw = 0; draw < 100; ++draw)
    different += draw_augmentation(spec, 4, draw) == draw_augmentation(spec, 5, draw) ? 0 : 1;
  CHECK(different > 80);  // 1 - 1/18 of them
}

TEST_CASE("compatible and evaluating specs leave nothing or less to chance") {
  augment_spec spec{.resize = 12, .crop = 10, .flip = flip_mode::always};
  for (std::uint64_t draw = 0; draw < 50; ++draw) CHECK(draw_augmentation(spec, 1, draw).flip);
  spec.flip = flip_mode::never;
  for (std::uint64_t draw = 0; draw < 50; ++draw) CHECK_FALSE(draw_augmentation(spec, 1, draw).flip);
  const augment_spec evaluating = evaluation_of({.resize = 512, .crop = 480, .method = resampling::tf});
  CHECK(evaluating == augment_spec{480, 480, flip_mode::never, interpolation::bilinear, resampling::tf});
  CHECK(draw_augmentation(evaluating, 9, 9) == augmentation{});
  const auto image = noise(30, 20);
  std::vector<float> squashed(3 * 10 * 10);
  preprocess(image, {.height = 10, .width = 10}, squashed);
  CHECK(augmented(image, evaluation_of({.resize = 12, .crop = 10}), {}) == squashed);
}

TEST_CASE("impossible crops are refused") {
  const auto image = noise(8, 8);
  CHECK_THROWS_WITH_AS(augmented(image, {.resize = 8, .crop = 9}, {}), doctest::Contains("got crop 9 and resize 8"),
                       bit::config_error);
  CHECK_THROWS_AS(augmented(image, {.resize = 8, .crop = 0}, {}), bit::config_error);
  CHECK_THROWS_WITH_AS(augmented(image, {.resize = 8, .crop = 6}, {3, 0}), doctest::Contains("crop at 0..2"),
                       bit::shape_error);
  CHECK_THROWS_AS(validate(augment_spec{.filter = interpolation::bicubic, .method = resampling::tf}),
                  bit::config_error);
  std::vector<float> small(5);
  CHECK_THROWS_AS(augment(image, {.resize = 8, .crop = 6}, {}, small), bit::shape_error);
}

TEST_CASE("a centre crop is preprocess()'s, whatever was decided, and leaves nothing to chance") {
  const auto image = noise(23, 37);
  for (auto order : {bit::layout::nchw, bit::layout::nhwc}) {
    const augment_spec spec{.resize = 12,
                            .crop = 12,
                            .flip = flip_mode::never,
                            .order = order,
                            .mode = crop_mode::center_crop,
                            .crop_pct = 0.75};
    std::vector<float> expected(3 * 12 * 12);
    preprocess(image, {.height = 12, .width = 12, .mode = crop_mode::center_crop, .crop_pct = 0.75, .order = order},
               expected);
    CHECK(augmented(image, spec, {}) == expected);
    CHECK(augmented(image, evaluation_of(spec), {5, 5, true}) == expected);
    CHECK(augmented(image, {.resize = 12, .crop = 12, .order = order}, {}) != expected);  // squashed
  }
  const auto refused = [](augment_spec spec) {
    spec.mode = crop_mode::center_crop;
    CHECK_THROWS_AS(validate(spec), bit::config_error);
  };
  refused({.resize = 14, .crop = 12, .flip = flip_mode::never});
  refused({.resize = 12, .crop = 12, .flip = flip_mode::random});
  refused({.resize = 12, .crop = 12, .flip = flip_mode::never, .crop_pct = 1.5});
}
