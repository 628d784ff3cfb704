// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/data/resize.hpp>
#include <bit/error.hpp>
#include <cmath>

#include "pattern.hpp"

namespace {

using namespace bit::data;

float_image to_float(const bit::rgb_image& image) {
  auto result = float_image::from_shape({image.shape(0), image.shape(1), image.shape(2)});
  for (std::size_t i = 0; i < image.size(); ++i) result.data()[i] = image.data()[i];
  return result;
}

/// Filter weights of one axis written plainly: every input pixel, no windows.
double plain(interpolation filter, double x) {
  x = std::abs(x);
  if (filter == interpolation::bilinear) return std::max(0.0, 1 - x);
  if (x < 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
  if (x < 2) return -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2;
  return 0;
}

std::vector<double> plain_weights(std::size_t in, std::size_t out, std::size_t at, interpolation filter) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), widening = std::max(1.0, scale);
  std::vector<double> weights(in);
  double total = 0;
  for (std::size_t i = 0; i < in; ++i)
    total += weights[i] =
        plain(filter, (static_cast<double>(i) + 0.5 - (static_cast<double>(at) + 0.5) * scale) / widening);
  for (double& w : weights) w /= total;
  return weights;
}

/// Largest deviation from the unrounded filter in double.
template <class Image>
double deviation(const Image& image, const Image& resized, interpolation filter) {
  double largest = 0;
  for (std::size_t y = 0; y < resized.shape(0); ++y) {
    const auto rows = plain_weights(image.shape(0), resized.shape(0), y, filter);
    for (std::size_t x = 0; x < resized.shape(1); ++x) {
      const auto columns = plain_weights(image.shape(1), resized.shape(1), x, filter);
      for (std::size_t c = 0; c < 3; ++c) {
        double exact = 0;
        for (std::size_t i = 0; i < rows.size(); ++i)
          for (std::size_t j = 0; j < columns.size(); ++j) exact += rows[i] * columns[j] * image(i, j, c);
        largest = std::max(largest, std::abs(exact - resized(y, x, c)));
      }
    }
  }
  return largest;
}

constexpr std::size_t sizes[][4] = {{1, 1, 1, 1},  {1, 1, 5, 7},   {9, 13, 1, 1},   {9, 13, 4, 20},
                                    {31, 7, 5, 3}, {7, 31, 16, 8}, {12, 12, 12, 5}, {12, 12, 5, 12}};

}  // namespace

TEST_CASE("resized images follow the antialiased filter") {
  for (const auto& size : sizes) {
    const std::size_t h = size[0], w = size[1], to_h = size[2], to_w = size[3];
    for (auto filter : {interpolation::bilinear, interpolation::bicubic}) {
      for (auto method : {resampling::pillow, resampling::pillow12}) {
        CAPTURE(size[0]);
        CAPTURE(size[2]);
        // Levels 64..191: Pillow clips between the passes too, which the plain filter does not.
        bit::rgb_image image = noise(h, w);
        for (std::uint8_t& level : image) level = static_cast<std::uint8_t>(64 + level / 2);
        // Two roundings to whole levels, the first times the second filter's gain (bicubic: at most 1.25).
        CHECK(deviation(image, resize(image, to_h, to_w, filter, method), filter) <= 0.5 + 0.5 * 1.25 + 1e-3);
        const auto values = to_float(image);
        // Float weights and one rounding to float of values below 256 * 1.25: 2 x 2^-24 x 320.
        CHECK(deviation(values, resize(values, to_h, to_w, filter, method), filter) < 1e-4);
      }
    }
  }
}

TEST_CASE("a filter of the wrong width fails the same check") {
  const auto image = noise(31, 7);
  const auto wrong = resize(image, 5, 3, interpolation::bilinear);
  CHECK(deviation(image, wrong, interpolation::bicubic) > 2);
  CHECK(deviation(to_float(image), resize_tf(image, 5, 3), interpolation::bilinear) > 2);
}

TEST_CASE("resizing to the same size changes nothing") {
  const auto image = noise(9, 13);
  for (auto filter : {interpolation::bilinear, interpolation::bicubic}) CHECK(resize(image, 9, 13, filter) == image);
  CHECK(resize_tf(image, 9, 13) == to_float(image));
}

TEST_CASE("the two orders of passes differ only where the height shrinks by over twice the width") {
  const auto orders_differ = [](std::size_t h, std::size_t w, std::size_t to_h, std::size_t to_w) {
    const auto image = noise(h, w);
    return resize(image, to_h, to_w, interpolation::bicubic, resampling::pillow) !=
           resize(image, to_h, to_w, interpolation::bicubic, resampling::pillow12);
  };
  CHECK(orders_differ(60, 40, 30, 26));        // 30 > 2 * 14
  CHECK_FALSE(orders_differ(60, 40, 30, 25));  // 30 = 2 * 15
  CHECK_FALSE(orders_differ(30, 40, 60, 50));
  CHECK(orders_differ(30, 40, 29, 50));
}

TEST_CASE("a window of a resized image is that part of it") {
  const auto image = noise(61, 23);
  for (auto method : {resampling::pillow, resampling::pillow12}) {
    const auto whole = resize(image, 33, 17, interpolation::bicubic, method);
    const auto part = detail::resize_pillow(image, {33, 17, 10, 4, 12, 9}, interpolation::bicubic, method);
    for (std::size_t y = 0; y < 12; ++y)
      for (std::size_t x = 0; x < 9; ++x)
        for (std::size_t c = 0; c < 3; ++c) CHECK(part(y, x, c) == whole(y + 10, x + 4, c));
  }
}

TEST_CASE("TensorFlow's rule: half-pixel centres, two neighbours, clamped edges") {
  auto row = bit::rgb_image::from_shape({1, 4, 3});
  for (std::size_t x = 0; x < 4; ++x)
    for (std::size_t c = 0; c < 3; ++c) row(0, x, c) = static_cast<std::uint8_t>(10 * x + c);
  const auto up = resize_tf(row, 1, 8);
  const float expected_up[] = {0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30};  // exact in float
  const auto down = resize_tf(row, 1, 2);
  const float expected_down[] = {5, 25};
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t x = 0; x < 8; ++x) CHECK(up(0, x, c) == expected_up[x] + static_cast<float>(c));
    for (std::size_t x = 0; x < 2; ++x) CHECK(down(0, x, c) == expected_down[x] + static_cast<float>(c));
  }
  // 5 to 2 without antialiasing reads pixels 0.75 and 3.25 only.
  auto five = bit::rgb_image::from_shape({1, 5, 3});
  for (std::size_t x = 0; x < 5; ++x)
    for (std::size_t c = 0; c < 3; ++c) five(0, x, c) = x == 2 ? 200 : 0;
  CHECK(resize_tf(five, 1, 2)(0, 0, 0) == 0.0f);
}

TEST_CASE("impossible resizes are refused") {
  const auto image = noise(3, 3);
  CHECK_THROWS_AS(resize(image, 0, 3), bit::shape_error);
  CHECK_THROWS_AS(resize(image, 3, 3, interpolation::bilinear, resampling::tf), bit::config_error);
  CHECK_THROWS_AS(resize(to_float(image), 3, 3, interpolation::bicubic, resampling::tf), bit::config_error);
  const bit::rgb_image grey = bit::rgb_image::from_shape({3, 3, 1});
  CHECK_THROWS_AS(resize(grey, 2, 2), bit::shape_error);
}
