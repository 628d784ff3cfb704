// SPDX-License-Identifier: Apache-2.0
// Encoded images (JPEG, PNG, BMP, WebP) to 8-bit RGB, equal to Pillow's Image.open(...).convert("RGB") where Pillow's
// conversion loses nothing it need not lose. No colour management: embedded ICC profiles are ignored, as Pillow does.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include <bit/config.hpp>
#include <bit/data/decode_options.hpp>
#include <bit/data/types.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::data {

/// True if this build can decode the format (BIT_HAS_JPEG, BIT_HAS_PNG, BIT_HAS_WEBP; BMP always).
BIT_FUNC bool can_decode(image_format format);

/// Decodes one image to (h,w,3), 0..255. Grey is repeated, alpha dropped, palettes looked up, 16-bit samples keep
/// their high byte (Pillow clips 16-bit grey at 255 instead, which turns most of it white), CMYK and YCCK follow Adobe's
/// inverted convention. Faults that lose no pixel are passed over; docs/images.md lists them. `name` stands in messages. Throws format_error for anything truncated, damaged, unknown or too
/// large, config_error if this build lacks the decoder. Thread-safe.
BIT_FUNC rgb_image decode(std::span<const std::byte> bytes, const decode_options& options = {},
                          const std::string& name = "image data");

/// Reads and decodes a file, as decode(); throws also io_error if the file cannot be read. Thread-safe.
BIT_FUNC rgb_image read_image(const std::filesystem::path& path, const decode_options& options = {});

/// Format, size and orientation of an encoded image without decoding its pixels. Throws as decode(). Thread-safe.
BIT_FUNC image_info probe(std::span<const std::byte> bytes, const decode_options& options = {},
                          const std::string& name = "image data");

/// probe() of a file.
BIT_FUNC image_info read_image_info(const std::filesystem::path& path, const decode_options& options = {});

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/image.ipp>
#endif
