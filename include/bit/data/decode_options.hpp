// SPDX-License-Identifier: Apache-2.0
// What a program allows images to be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::data {

/// The largest number of pixels of an image that is decoded where a program does not say otherwise: the environment
/// variable BIT_MAX_PIXELS, without it 178,956,970, which is Pillow's limit (twice PIL.Image.MAX_IMAGE_PIXELS). Throws
/// config_error if the variable is no whole number of at least 1. Thread-safe while no thread changes the environment.
BIT_FUNC std::size_t default_max_pixels();

/// How a user raises the limit to a number of pixels, in all languages, since a message does not know its reader.
BIT_FUNC std::string raised_limit(std::uint64_t pixels);

struct decode_options {
  /// Turn the image upright by its orientation in EXIF or XMP, as PIL.ImageOps.exif_transpose.
  bool apply_orientation = true;
  /// Larger images are refused before any pixel is allocated.
  std::size_t max_pixels = default_max_pixels();
  /// Scans of a progressive JPEG; encoders write about ten, each can cost a pass over the whole image.
  std::size_t max_scans = 100;
};

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/decode_options.ipp>
#endif
