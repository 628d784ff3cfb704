// SPDX-License-Identifier: Apache-2.0
// Bodies of data/augment.hpp.
#pragma once

#include <string>

#include <bit/data/augment.hpp>
#include <bit/error.hpp>
#include <bit/random.hpp>

namespace bit::inline BIT_ABI::data {

namespace detail {

inline preprocess_spec centred(const augment_spec& spec) {
  return {spec.crop, spec.crop, crop_mode::center_crop, spec.crop_pct, spec.filter, spec.method, spec.order};
}

}  // namespace detail

BIT_FUNC void validate(const augment_spec& spec) {
  if (spec.crop == 0 || spec.crop > spec.resize)
    throw config_error("[augment] expected 1 <= crop <= resize, got crop " + std::to_string(spec.crop) +
                       " and resize " + std::to_string(spec.resize));
  if (spec.method == resampling::tf && spec.filter != interpolation::bilinear)
    throw config_error("[augment] expected bilinear with resampling tf, got bicubic: use resampling pillow");
  if (spec.mode == crop_mode::center_crop) {
    if (spec.crop != spec.resize || spec.flip != flip_mode::never)
      throw config_error("[augment] expected crop = resize and no flips with center_crop, which is for evaluation");
    validate(detail::centred(spec));
  }
}

BIT_FUNC augment_spec evaluation_of(augment_spec spec) {
  spec.resize = spec.crop;
  spec.flip = flip_mode::never;
  return spec;
}

BIT_FUNC augmentation draw_augmentation(const augment_spec& spec, std::uint64_t seed, std::uint64_t draw) {
  random_stream random(seed, random_purpose::augmentation, draw);
  const std::uint64_t places = spec.resize - spec.crop + 1;
  augmentation decided;
  decided.top = static_cast<std::size_t>(random.below(places));
  decided.left = static_cast<std::size_t>(random.below(places));
  decided.flip = spec.flip == flip_mode::always || (spec.flip == flip_mode::random && random.below(2) == 1);
  return decided;
}

BIT_FUNC void augment(rgb_view image, const augment_spec& spec, const augmentation& decided, std::span<float> out) {
  validate(spec);
  const std::size_t r = spec.resize, c = spec.crop;
  if (out.size() != 3 * c * c)
    throw shape_error("[augment] expected room for 3 x " + std::to_string(c) + " x " + std::to_string(c) +
                      " floats, got " + std::to_string(out.size()));
  if (spec.mode == crop_mode::center_crop) return preprocess(image, detail::centred(spec), out);
  if (decided.top > r - c || decided.left > r - c)
    throw shape_error("[augment] expected a crop at 0.." + std::to_string(r - c) + ", got row " +
                      std::to_string(decided.top) + ", column " + std::to_string(decided.left));
  detail::write_window(image, {r, r, decided.top, decided.left, c, c}, spec.filter, spec.method, spec.order,
                       decided.flip, out.data());
}

}  // namespace bit::inline BIT_ABI::data
