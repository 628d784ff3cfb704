// SPDX-License-Identifier: Apache-2.0
// Bodies of data/preprocess.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include <bit/data/preprocess.hpp>
#include <bit/detail/finite.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

/// Offset of a centred crop, int(round((full - part) / 2.0)) of Python: halves go to the even neighbour.
inline std::size_t centre_offset(std::size_t full, std::size_t part) {
  const std::size_t spare = full - part, half = spare / 2;
  return half + (spare % 2 == 1 && half % 2 == 1 ? 1 : 0);
}

BIT_FUNC resize_window plan_window(const preprocess_spec& spec, std::size_t height, std::size_t width) {
  const std::size_t h = spec.height, w = spec.width;
  if (height == 0 || width == 0)
    throw shape_error("[preprocess] expected an image of at least 1 x 1, got " + std::to_string(height) + " x " +
                      std::to_string(width));
  if (spec.mode == crop_mode::squash) return {h, w, 0, 0, h, w};
  const auto enlarged = [&](std::size_t size) {
    return static_cast<std::size_t>(std::floor(static_cast<double>(size) / spec.crop_pct));
  };
  std::size_t full_h = enlarged(h), full_w = enlarged(w);
  if (full_h == full_w) {
    const std::size_t edge = full_h;
    full_h = height <= width ? edge : edge * height / width;
    full_w = height <= width ? edge * width / height : edge;
  } else {
    const auto down = [](std::size_t in, std::size_t out) {
      return static_cast<double>(in) / static_cast<double>(out);
    };
    const double ratio = std::min(down(height, full_h), down(width, full_w));
    // nearbyint rounds halves to even, as Python's round.
    full_h = std::max(h, static_cast<std::size_t>(std::nearbyint(static_cast<double>(height) / ratio)));
    full_w = std::max(w, static_cast<std::size_t>(std::nearbyint(static_cast<double>(width) / ratio)));
  }
  return {full_h, full_w, centre_offset(full_h, h), centre_offset(full_w, w), h, w};
}

BIT_FUNC tensor4<float>::shape_type batch_shape(const preprocess_spec& spec, std::size_t n) {
  if (spec.order == layout::nchw) return {n, 3, spec.height, spec.width};
  return {n, spec.height, spec.width, 3};
}

/// Writes value(pixel) of (h,w,3) pixels as red, green and blue in the wanted layout, mirrored left to right if `flip`.
template <class T, class Value>
void write_pixels(const xt::xtensor<T, 3>& image, channel_order channels, layout order, bool flip, float* out,
                  Value value) {
  const std::size_t height = image.shape(0), width = image.shape(1);
  const std::size_t pixel_step = order == layout::nhwc ? 3 : 1,
                    channel_step = order == layout::nhwc ? 1 : height * width;
  const std::array<std::size_t, 3> sample_of =
      channels == channel_order::rgb ? std::array<std::size_t, 3>{0, 1, 2} : std::array<std::size_t, 3>{2, 1, 0};
  const T* in = image.data();
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x, in += 3) {
      float* pixel = out + pixel_step * (width * y + (flip ? width - 1 - x : x));
      for (std::size_t c = 0; c < 3; ++c) pixel[channel_step * c] = value(in[sample_of[c]]);
    }
  }
}

BIT_FUNC void write_window(rgb_view image, const resize_window& window, interpolation filter, resampling method,
                           layout order, bool flip, float* out) {
  if (method == resampling::tf) {
    write_pixels(resize_tf(image, window), image.channels, order, flip, out,
                 [](float x) { return (x - 127.5f) / 127.5f; });
    return;
  }
  std::array<float, 256> values;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = (static_cast<float>(i) / 255.0f - 0.5f) / 0.5f;
  write_pixels(resize_pillow(image, window, filter, method), image.channels, order, flip, out,
               [&](std::uint8_t x) { return values[x]; });
}

inline void check_output(const preprocess_spec& spec, std::span<float> out) {
  validate(spec);
  if (out.size() != 3 * spec.height * spec.width)
    throw shape_error("[preprocess] expected room for 3 x " + std::to_string(spec.height) + " x " +
                      std::to_string(spec.width) + " floats, got " + std::to_string(out.size()));
}

}  // namespace detail

BIT_FUNC void validate(const preprocess_spec& spec) {
  if (spec.height == 0 || spec.width == 0)
    throw config_error("[preprocess] expected a size of at least 1 x 1, got " + std::to_string(spec.height) + " x " +
                       std::to_string(spec.width));
  if (!bit::detail::is_within(spec.crop_pct, 0, 1) || spec.crop_pct == 0)
    throw config_error("[preprocess] expected crop_pct in (0,1], got " + std::to_string(spec.crop_pct));
  if (spec.method == resampling::tf && spec.filter != interpolation::bilinear)
    throw config_error("[preprocess] expected bilinear with resampling tf, got bicubic: use resampling pillow");
}

BIT_FUNC void preprocess(rgb_view image, const preprocess_spec& spec, std::span<float> out) {
  detail::check_output(spec, out);
  detail::write_window(image, detail::plan_window(spec, image.height, image.width), spec.filter, spec.method,
                       spec.order, false, out.data());
}

BIT_FUNC void preprocess(pixel_view<float> image, const preprocess_spec& spec, std::span<float> out) {
  detail::check_output(spec, out);
  const auto window = detail::plan_window(spec, image.height, image.width);
  const float_image resized = spec.method == resampling::tf
                                  ? detail::resize_tf(image, window)
                                  : detail::resize_pillow(image, window, spec.filter, spec.method);
  detail::write_pixels(resized, image.channels, spec.order, false, out.data(),
                       [](float x) { return (x - 0.5f) / 0.5f; });
}

BIT_FUNC tensor4<float> preprocess(std::span<const rgb_image> images, const preprocess_spec& spec) {
  validate(spec);
  auto batch = tensor4<float>::from_shape(detail::batch_shape(spec, images.size()));
  const std::size_t size = 3 * spec.height * spec.width;
  for (std::size_t i = 0; i < images.size(); ++i) preprocess(images[i], spec, {batch.data() + size * i, size});
  return batch;
}

}  // namespace bit::inline BIT_ABI::data
