// SPDX-License-Identifier: Apache-2.0
// EXIF orientation: found in a TIFF block, applied to an image. Values 1..8 as in the EXIF 2.3 standard, table 4.
#pragma once

#include <cstddef>
#include <span>

#include <bit/config.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::data::detail {

/// Orientation in IFD 0 of a TIFF block ("II*\0..." or "MM\0*..."); 1 (upright) if it is absent or malformed, since
/// damaged metadata does not damage the pixels.
BIT_FUNC int exif_orientation(std::span<const unsigned char> tiff);

/// The image turned upright.
BIT_FUNC rgb_image apply_orientation(rgb_image image, int orientation);

}  // namespace bit::inline BIT_ABI::data::detail

#if BIT_HEADER_ONLY
#include <bit/data/codec/exif.ipp>
#endif
