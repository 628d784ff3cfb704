// SPDX-License-Identifier: Apache-2.0
// Where a PNG file says how it is to be turned: its eXIf chunk, ImageMagick's "Raw profile type exif", XMP.
#pragma once

#include <span>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::data::detail {

/// The orientation in the chunks of a PNG file, before or after its pixels; 1 (upright) if they say nothing. Texts that
/// inflate to more than 1 MiB, Pillow's limit, are passed over, and compressed ones if this build has no zlib.
BIT_FUNC int png_orientation(std::span<const unsigned char> file);

}  // namespace bit::inline BIT_ABI::data::detail

#if BIT_HEADER_ONLY
#include <bit/data/codec/png_orientation.ipp>
#endif
