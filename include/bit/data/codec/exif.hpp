// SPDX-License-Identifier: Apache-2.0
// Orientation: found in EXIF and XMP, applied to an image. Values 1..8 as in the EXIF 2.3 standard, table 4.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include <bit/config.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::data::detail {

/// What an EXIF block says in IFD 0: a TIFF block ("II*\0..." or "MM\0*..."), perhaps behind JPEG's prefix "Exif\0\0".
/// Nothing if the tag is absent or the block malformed: damaged metadata does not damage the pixels.
BIT_FUNC std::optional<int> exif_orientation(std::span<const unsigned char> block);

/// What an XMP packet says in tiff:Orientation, as attribute or element; nothing if it does not.
BIT_FUNC std::optional<int> xmp_orientation(std::string_view packet);

/// The orientation of a file with these blocks, either of which may be empty: EXIF's, where it has one, otherwise XMP's,
/// as in Pillow's getexif(); 1 (upright) without one and for a value that is none of 1..8.
BIT_FUNC int orientation_of(std::span<const unsigned char> exif, std::string_view xmp);

/// The image turned upright.
BIT_FUNC rgb_image apply_orientation(rgb_image image, int orientation);

}  // namespace bit::inline BIT_ABI::data::detail

#if BIT_HEADER_ONLY
#include <bit/data/codec/exif.ipp>
#endif
