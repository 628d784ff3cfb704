// SPDX-License-Identifier: Apache-2.0
// From decoded images to what the network reads: squash or crop, then normalise to [-1,1].
#pragma once

#include <cstddef>
#include <span>

#include <bit/config.hpp>
#include <bit/data/resize.hpp>
#include <bit/data/types.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::data {

enum class crop_mode {
  squash,       ///< resize to the target whatever the aspect: bit_pytorch, bit_tf2, bit_jax
  center_crop,  ///< resize the shortest edge to floor(size / crop_pct), cut the centre: timm, transformers
};

/// How images become network input; each released checkpoint has its own (see its card).
struct preprocess_spec {
  std::size_t height = 224, width = 224;
  crop_mode mode = crop_mode::squash;
  double crop_pct = 0.875;  ///< only for center_crop: part of the resized shortest edge that is kept, in (0,1]
  interpolation filter = interpolation::bilinear;
  resampling method = resampling::pillow;
  layout order = layout::nchw;  ///< memory order of the result
  friend bool operator==(const preprocess_spec&, const preprocess_spec&) = default;
};

/// Throws config_error for a zero size, a crop_pct outside (0,1], or bicubic with resampling::tf.
BIT_FUNC void validate(const preprocess_spec& spec);

/// One image to `out`, 3 x height x width floats in [-1,1], (x / 255 - 0.5) / 0.5 as torchvision's ToTensor and
/// Normalize(0.5, 0.5); with resampling::tf (x - 127.5) / 127.5 as bit_tf2. Square center_crop rounds as torchvision's
/// Resize(shortest) and CenterCrop (long edge rounded down, offset half to even), other shapes as timm's
/// ResizeKeepRatio. Throws shape_error if `out` has another size, and as validate(). Thread-safe.
BIT_FUNC void preprocess(rgb_view image, const preprocess_spec& spec, std::span<float> out);

/// The same for float pixels in [0,1]; values are not checked or clipped, the result is (x - 0.5) / 0.5.
BIT_FUNC void preprocess(pixel_view<float> image, const preprocess_spec& spec, std::span<float> out);

/// A batch in the layout of `spec`: (n,3,height,width) or (n,height,width,3). Throws as above. Thread-safe.
BIT_FUNC tensor4<float> preprocess(std::span<const rgb_image> images, const preprocess_spec& spec);

namespace detail {

/// The resize and crop that `spec` asks of an image of this size.
BIT_FUNC resize_window plan_window(const preprocess_spec& spec, std::size_t height, std::size_t width);

/// Resizes, cuts out the window, mirrors it left to right if `flip`, and normalises as preprocess(): 3 x window.height x
/// window.width floats.
BIT_FUNC void write_window(rgb_view image, const resize_window& window, interpolation filter, resampling method,
                           layout order, bool flip, float* out);

/// Shape of a batch of `n` images in the layout of `spec`.
BIT_FUNC tensor4<float>::shape_type batch_shape(const preprocess_spec& spec, std::size_t n);

}  // namespace detail
}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/preprocess.ipp>
#endif
