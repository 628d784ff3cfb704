// SPDX-License-Identifier: Apache-2.0
// Names of image files: which suffixes are images, and the order in which files and classes are numbered.
#pragma once

#include <filesystem>
#include <string_view>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::data {

/// True if the name ends in .jpg, .jpeg, .jpe, .jfif, .png, .bmp, .dib or .webp, in any case.
BIT_FUNC bool has_image_suffix(const std::filesystem::path& path);

/// Natural order: runs of digits compare as numbers, everything else by lower-case ASCII bytes; names that are equal so
/// far compare by their bytes. timm orders files and classes this way.
BIT_FUNC bool natural_less(std::string_view a, std::string_view b);

/// How classes are numbered.
enum class class_order {
  natural,  ///< "2" before "10": timm
  lexical,  ///< "10" before "2": torchvision's ImageFolder, hence bit_pytorch
};

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/folder.ipp>
#endif
