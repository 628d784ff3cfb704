// SPDX-License-Identifier: Apache-2.0
// Resizing: Pillow's antialiased filters, bit for bit, and TensorFlow's bilinear without antialiasing. Channels stay in
// the order in which the view has them.
#pragma once

#include <cstddef>

#include <bit/config.hpp>
#include <bit/data/types.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::data {

enum class interpolation {
  bilinear,  ///< triangle of radius 1
  bicubic,   ///< cubic convolution of radius 2 with a = -0.5 (Keys 1981)
};

/// `pillow` and `pillow12` widen the filter with the reduction (antialiasing), as bit_pytorch and timm do. They differ
/// only in which pass comes first, hence in what is rounded between them: up to a few grey levels.
enum class resampling {
  pillow,    ///< Image.resize of Pillow 13 and later: vertical first where the height shrinks by over twice the width
  pillow12,  ///< Image.resize of Pillow up to 12: always horizontal first (12.2 and 12.3: unless h > 100 w)
  tf,        ///< two neighbours only: tf.image.resize(antialias=False) of TensorFlow 2; bit_tf2, bit_jax
};

/// Resizes (h,w,3) to (height,width,3) exactly as Pillow's Image.resize in mode "RGB" does, its fixed-point arithmetic
/// and its rounding between the two passes included. Throws shape_error if a size is zero, config_error for tf, whose
/// results are not 8-bit (resize_tf). Thread-safe.
BIT_FUNC rgb_image resize(rgb_view image, std::size_t height, std::size_t width,
                          interpolation filter = interpolation::bilinear, resampling method = resampling::pillow);

/// Resizes float pixels of any range, nothing is clipped: as Pillow's Image.resize in mode "F" on each channel, or as
/// tf.image.resize. Throws shape_error if a size is zero, config_error for bicubic with tf. Thread-safe.
BIT_FUNC float_image resize(pixel_view<float> image, std::size_t height, std::size_t width, interpolation filter,
                            resampling method);

/// tf.image.resize of an 8-bit image: bilinear, half-pixel centres, no antialiasing; the result is float, 0..255, not
/// rounded. Throws shape_error if a size is zero. Thread-safe.
BIT_FUNC float_image resize_tf(rgb_view image, std::size_t height, std::size_t width);

namespace detail {

/// The part of a resized image that is wanted: rows top.., columns left.. of height x width resized pixels.
struct resize_window {
  std::size_t full_height, full_width, top, left, height, width;
};

BIT_FUNC rgb_image resize_pillow(rgb_view image, const resize_window& window, interpolation filter, resampling method);
BIT_FUNC float_image resize_pillow(pixel_view<float> image, const resize_window& window, interpolation filter,
                                   resampling method);
BIT_FUNC float_image resize_tf(rgb_view image, const resize_window& window);
BIT_FUNC float_image resize_tf(pixel_view<float> image, const resize_window& window);

}  // namespace detail
}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/resize.ipp>
#endif
