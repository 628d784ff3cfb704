// SPDX-License-Identifier: Apache-2.0
// What the headers of this folder share: pixels and formats. No function bodies of weight.
#pragma once

#include <bit/config.hpp>
#include <bit/error.hpp>
#include <bit/tensor.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

namespace bit::inline BIT_ABI::data {

/// Which colour a pixel's first sample is.
enum class channel_order {
  rgb,  ///< red: image files and most libraries
  bgr,  ///< blue: OpenCV's matrices and many cameras
};

/// Pixels (height,width,3) that someone else owns, the samples of a pixel and the pixels of a row one after the other; made
/// implicitly from an image. An OpenCV matrix of CV_8UC3 or a part of one is
/// `rgb_view(m.data, m.rows, m.cols, m.step1(), channel_order::bgr)`. The view does not keep the pixels alive.
template <class T>
struct pixel_view {
  const T* data = nullptr;
  std::size_t height = 0, width = 0;
  std::size_t row_stride = 0;  ///< samples from one row to the next, at least 3 * width
  channel_order channels = channel_order::rgb;

  pixel_view(const T* pixels, std::size_t h, std::size_t w) : pixel_view(pixels, h, w, 3 * w) {}
  /// Throws shape_error for rows that overlap: a stride below 3 * w.
  pixel_view(const T* pixels, std::size_t h, std::size_t w, std::size_t stride,
             channel_order order = channel_order::rgb)
      : data(pixels), height(h), width(w), row_stride(stride), channels(order) {
    if (stride < 3 * w)
      throw shape_error("[image] expected a row stride of at least 3 x " + std::to_string(w) + " samples, got " +
                        std::to_string(stride));
  }
  /// Throws shape_error unless the last dimension is 3.
  pixel_view(const xt::xtensor<T, 3>& image) : pixel_view(image.data(), image.shape(0), image.shape(1)) {
    if (image.shape(2) != 3)
      throw shape_error("[image] expected shape (height,width,3), got " + std::to_string(image.shape(2)) + " channels");
  }
};

using rgb_view = pixel_view<std::uint8_t>;

/// One float RGB image (h,w,3).
using float_image = xt::xtensor<float, 3>;

enum class image_format { jpeg, png, bmp, webp };

/// "JPEG", "PNG", "BMP" or "WebP".
inline const char* to_string(image_format format) {
  constexpr const char* names[] = {"JPEG", "PNG", "BMP", "WebP"};
  return names[static_cast<std::size_t>(format)];
}

/// What a file's header says; height and width as stored, before the orientation (1..8) turns them.
struct image_info {
  image_format format = image_format::jpeg;
  std::size_t height = 0, width = 0;
  int orientation = 1;
  friend bool operator==(const image_info&, const image_info&) = default;
};

}  // namespace bit::inline BIT_ABI::data
