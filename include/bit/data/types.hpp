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

/// Row-major pixels (height,width,3) that someone else owns; made implicitly from an image.
template <class T>
struct pixel_view {
  const T* data = nullptr;
  std::size_t height = 0, width = 0;

  pixel_view(const T* pixels, std::size_t h, std::size_t w) : data(pixels), height(h), width(w) {}
  /// Throws shape_error unless the last dimension is 3.
  pixel_view(const xt::xtensor<T, 3>& image) : data(image.data()), height(image.shape(0)), width(image.shape(1)) {
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
