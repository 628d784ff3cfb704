// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/data/preprocess.hpp>
#include <bit/error.hpp>
#include <limits>
#include <vector>

#include "pattern.hpp"

namespace {

using namespace bit::data;

std::vector<float> run(rgb_view image, const preprocess_spec& spec) {
  std::vector<float> out(3 * spec.height * spec.width);
  preprocess(image, spec, out);
  return out;
}

}  // namespace

TEST_CASE("every grey level is normalised by ToTensor's and Normalize's operations") {
  auto image = bit::rgb_image::from_shape({16, 16, 3});
  for (std::size_t i = 0; i < image.size(); ++i) image.data()[i] = static_cast<std::uint8_t>(i / 3);
  const auto pillow = run(image, {.height = 16, .width = 16, .order = bit::layout::nhwc});
  const auto tf = run(image, {.height = 16, .width = 16, .method = resampling::tf, .order = bit::layout::nhwc});
  for (std::size_t i = 0; i < 768; ++i) {
    const auto level = static_cast<float>(i / 3);
    CHECK(pillow[i] == (level / 255.0f - 0.5f) / 0.5f);
    CHECK(tf[i] == (level - 127.5f) / 127.5f);
  }
  CHECK(pillow.front() == -1.0f);
  CHECK(pillow.back() == 1.0f);
}

TEST_CASE("both layouts hold the same values") {
  const auto image = noise(20, 30);
  preprocess_spec spec{.height = 5, .width = 7};
  const auto nchw = run(image, spec);
  spec.order = bit::layout::nhwc;
  const auto nhwc = run(image, spec);
  for (std::size_t i = 0; i < 35; ++i)
    for (std::size_t c = 0; c < 3; ++c) CHECK(nchw[35 * c + i] == nhwc[3 * i + c]);
}

TEST_CASE("centre crop rounds as torchvision's Resize and CenterCrop") {
  const auto plan = [](std::size_t size, double crop_pct, std::size_t h, std::size_t w) {
    return detail::plan_window({.height = size, .width = size, .mode = crop_mode::center_crop, .crop_pct = crop_pct}, h,
                               w);
  };
  // 480 x 640 at 224 / 0.875 = 256: long edge int(256 * 640 / 480) = 341, left int(round(58.5)) = 58 (half to even).
  auto window = plan(224, 0.875, 480, 640);
  CHECK(window.full_height == 256);
  CHECK(window.full_width == 341);
  CHECK(window.top == 16);
  CHECK(window.left == 58);
  // 343 - 224 = 119: round(59.5) = 60.
  window = plan(224, 0.875, 343, 256);
  CHECK(window.full_height == 343);
  CHECK(window.top == 60);
  // floor(224 / 0.95) = 235.
  CHECK(plan(224, 0.95, 100, 100).full_width == 235);
  CHECK(plan(448, 1.0, 1, 1000).full_width == 448'000);
}

TEST_CASE("centre crop to other shapes keeps the aspect as timm's ResizeKeepRatio") {
  const auto window =
      detail::plan_window({.height = 100, .width = 200, .mode = crop_mode::center_crop, .crop_pct = 1.0}, 300, 500);
  // ratio min(3, 2.5) = 2.5: 120 x 200.
  CHECK(window.full_height == 120);
  CHECK(window.full_width == 200);
  CHECK(window.top == 10);
  CHECK(window.left == 0);
}

TEST_CASE("a batch is its images one after another") {
  const std::vector<bit::rgb_image> images{noise(8, 9, 1), noise(30, 4, 2), noise(1, 1, 3)};
  for (auto order : {bit::layout::nchw, bit::layout::nhwc}) {
    const preprocess_spec spec{.height = 6, .width = 5, .mode = crop_mode::center_crop, .order = order};
    const auto batch = preprocess(images, spec);
    CHECK(batch.shape(order == bit::layout::nchw ? 1 : 3) == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto one = run(images[i], spec);
      CHECK(std::equal(one.begin(), one.end(), batch.data() + 90 * i));
    }
  }
  CHECK(preprocess(std::vector<bit::rgb_image>{}, preprocess_spec{}).shape(0) == 0);
}

TEST_CASE("float pixels in [0,1] give nearly what the same 8-bit pixels give") {
  const auto image = noise(40, 30);
  auto values = float_image::from_shape({40, 30, 3});
  for (std::size_t i = 0; i < image.size(); ++i) values.data()[i] = static_cast<float>(image.data()[i]) / 255.0f;
  for (auto method : {resampling::pillow, resampling::tf}) {
    const preprocess_spec spec{.height = 16, .width = 16, .method = method};
    std::vector<float> out(3 * 16 * 16);
    preprocess(values, spec, out);
    const auto expected = run(image, spec);
    // 8-bit results are rounded twice to 1/255 of the half range: 2 x 0.5 x 2/255; tf's are not rounded.
    const double bound = method == resampling::tf ? 1e-6 : 2.0 / 255;
    double largest = 0;
    for (std::size_t i = 0; i < out.size(); ++i) largest = std::max(largest, std::abs(double{out[i]} - expected[i]));
    CHECK(largest < bound);
    values(0, 0, 0) += 0.5f;  // the negative control: one pixel of another value is seen
    preprocess(values, spec, out);
    values(0, 0, 0) -= 0.5f;
    CHECK(std::abs(out[0] - expected[0]) > bound);
  }
}

TEST_CASE("a part of a BGR frame gives what the same pixels in RGB give") {
  const auto image = noise(20, 30);
  const std::size_t stride = 3 * 40 + 5;
  std::vector<std::uint8_t> frame(25 * stride, 77);
  std::uint8_t* corner = frame.data() + 2 * stride + 3 * 4;
  for (std::size_t y = 0; y < 20; ++y)
    for (std::size_t x = 0; x < 30; ++x)
      for (std::size_t c = 0; c < 3; ++c) corner[y * stride + 3 * x + c] = image(y, x, 2 - c);
  const rgb_view part(corner, 20, 30, stride, channel_order::bgr);
  for (const auto method : {resampling::pillow, resampling::pillow12, resampling::tf})
    for (const auto order : {bit::layout::nchw, bit::layout::nhwc})
      for (const std::size_t height : {7u, 20u, 45u}) {
        const preprocess_spec spec{.height = height, .width = 29, .method = method, .order = order};
        CHECK(run(part, spec) == run(image, spec));
        CHECK(run(rgb_view(corner, 20, 30, stride), spec) != run(image, spec));  // the negative control
      }
  CHECK_THROWS_AS(rgb_view(corner, 20, 30, 89), bit::shape_error);
}

TEST_CASE("impossible specs and outputs are refused with the numbers") {
  const auto image = noise(4, 4);
  std::vector<float> out(10);
  CHECK_THROWS_WITH_AS(preprocess(image, {.height = 4, .width = 4}, out),
                       "[preprocess] expected room for 3 x 4 x 4 floats, got 10", bit::shape_error);
  CHECK_THROWS_AS(validate({.height = 0}), bit::config_error);
  CHECK_THROWS_AS(validate({.crop_pct = 0}), bit::config_error);
  CHECK_THROWS_AS(validate({.crop_pct = 1.1}), bit::config_error);
  CHECK_THROWS_AS(validate({.crop_pct = std::numeric_limits<double>::quiet_NaN()}), bit::config_error);
  CHECK_THROWS_AS(validate({.filter = interpolation::bicubic, .method = resampling::tf}), bit::config_error);
  CHECK_THROWS_AS(run(rgb_view(nullptr, 0, 5), {.height = 4, .width = 4}), bit::shape_error);
}
