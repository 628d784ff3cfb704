// SPDX-License-Identifier: Apache-2.0
// What training does to an image before the network sees it: resize, random crop, random mirroring, values in [-1,1].
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <bit/config.hpp>
#include <bit/data/preprocess.hpp>
#include <bit/data/types.hpp>

namespace bit::inline BIT_ABI::data {

/// When an image is mirrored left to right.
enum class flip_mode {
  random,  ///< every second time on average: bit_pytorch, the default
  always,  ///< as bit_jax and bit_tf2 do, which call flip_left_right where a random flip was meant
  never,   ///< evaluation, and classes that depend on left and right
};

/// The image is squashed to resize x resize pixels, of which crop x crop are taken. With crop = resize and no flips it is
/// what the reference evaluates with. With center_crop nothing is left to chance: it is preprocess() of crop x crop.
struct augment_spec {
  std::size_t resize = 160, crop = 128;  ///< BiT-HyperRule's sizes for small images
  flip_mode flip = flip_mode::random;
  interpolation filter = interpolation::bilinear;
  resampling method = resampling::pillow;  ///< bit_jax and bit_tf2: tf
  layout order = layout::nchw;             ///< memory order of the result
  crop_mode mode = crop_mode::squash;      ///< center_crop: for evaluation, with resize = crop and no flips
  double crop_pct = 0.875;                 ///< only for center_crop, as in preprocess_spec
  friend bool operator==(const augment_spec&, const augment_spec&) = default;
};

/// Throws config_error unless 1 <= crop <= resize, for bicubic with resampling::tf, and for a center_crop with chance or
/// a crop_pct outside (0,1].
BIT_FUNC void validate(const augment_spec& spec);

/// The same without chance: squash to crop x crop (or center_crop), no mirroring, as the reference evaluates.
BIT_FUNC augment_spec evaluation_of(augment_spec spec);

/// What chance decides for one image.
struct augmentation {
  std::size_t top = 0, left = 0;  ///< of the crop, 0..resize-crop
  bool flip = false;
  friend bool operator==(const augmentation&, const augmentation&) = default;
};

/// The decisions for draw number `draw` of a training, a function of its arguments: uniform crops, flips with
/// probability 1/2. Thread-safe.
BIT_FUNC augmentation draw_augmentation(const augment_spec& spec, std::uint64_t seed, std::uint64_t draw);

/// One image to `out`, 3 x crop x crop floats in [-1,1], resized and normalised exactly as preprocess() does. Throws
/// shape_error if `out` has another size or the crop leaves the image, and as validate(). Thread-safe.
BIT_FUNC void augment(rgb_view image, const augment_spec& spec, const augmentation& decided, std::span<float> out);

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/augment.ipp>
#endif
