// SPDX-License-Identifier: Apache-2.0
// WebP through libwebp: lossy, lossless, with or without alpha (dropped). Animations are refused.
#pragma once

#include <bit/data/codec/codec.hpp>
#include <bit/data/codec/exif.hpp>

#if BIT_HAS_WEBP
#include <cstring>

#include <webp/decode.h>
#endif

namespace bit::inline BIT_ABI::data::detail {

#if BIT_HAS_WEBP

inline std::size_t webp_number(const unsigned char* p) {
  return p[0] | std::size_t{p[1]} << 8 | std::size_t{p[2]} << 16 | std::size_t{p[3]} << 24;
}

/// Orientation in the EXIF or XMP chunk of a RIFF container of `size` bytes.
inline int webp_orientation(const unsigned char* data, std::size_t size) {
  std::span<const unsigned char> exif;
  std::string_view xmp;
  for (std::size_t at = 12; at + 8 <= size;) {
    const std::size_t length = webp_number(data + at + 4);
    if (length > size - at - 8) break;
    if (std::memcmp(data + at, "EXIF", 4) == 0) exif = {data + at + 8, length};
    if (std::memcmp(data + at, "XMP ", 4) == 0) xmp = {reinterpret_cast<const char*>(data) + at + 8, length};
    at += 8 + length + length % 2;
  }
  return orientation_of(exif, xmp);
}

BIT_FUNC image_info probe_webp(const encoded_image& input) {
  const std::size_t size = input.bytes.size();
  if (size < 12 || webp_number(input.data() + 4) > size - 8) input.fail(image_format::webp, "is truncated");
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(input.data(), size, &features) != VP8_STATUS_OK)
    input.fail(image_format::webp, "has a damaged header");
  if (features.has_animation != 0)
    input.fail(image_format::webp, "is an animation: expected a still image; extract a frame first");
  image_info info{image_format::webp, static_cast<std::size_t>(features.height),
                  static_cast<std::size_t>(features.width),
                  webp_orientation(input.data(), webp_number(input.data() + 4) + 8)};
  // A lossless file can describe any number of equal pixels in a few bytes: only max_pixels bounds it.
  input.check_size(info, std::uint64_t{1} << 32);
  return info;
}

BIT_FUNC rgb_image decode_webp(const encoded_image& input, image_info& info) {
  info = probe_webp(input);
  rgb_image image = make_image(info);
  const auto stride = static_cast<int>(3 * info.width);  // at most 3 * 16383
  if (WebPDecodeRGBInto(input.data(), input.bytes.size(), image.data(), image.size(), stride) == nullptr)
    input.fail(image_format::webp, "is truncated or damaged");
  return image;
}

#else

[[noreturn]] inline void no_webp(const encoded_image& input) {
  throw config_error("[image] " + input.name +
                     ": this build cannot decode WebP; install libwebp and let CMake find it, or compile with "
                     "-DBIT_HAS_WEBP=1 and link with -lwebp");
}
BIT_FUNC image_info probe_webp(const encoded_image& input) { no_webp(input); }
BIT_FUNC rgb_image decode_webp(const encoded_image& input, image_info&) { no_webp(input); }

#endif

}  // namespace bit::inline BIT_ABI::data::detail
