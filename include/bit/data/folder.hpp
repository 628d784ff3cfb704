// SPDX-License-Identifier: Apache-2.0
// Image files below a folder, in natural order ("img2" before "img10"), plain or with one class per subfolder.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::data {

/// True if the name ends in .jpg, .jpeg, .jpe, .jfif, .png, .bmp, .dib or .webp, in any case.
BIT_FUNC bool has_image_suffix(const std::filesystem::path& path);

/// Natural order: runs of digits compare as numbers, everything else by lower-case ASCII bytes; names that are equal so
/// far compare by their bytes. timm orders files and classes this way.
BIT_FUNC bool natural_less(std::string_view a, std::string_view b);

/// All files with an image suffix below `folder`, recursively, sorted by natural_less on their path inside it. Links to
/// folders are followed, each folder once. Throws io_error if a folder cannot be read.
BIT_FUNC std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder);

enum class class_order {
  natural,  ///< "2" before "10": timm
  lexical,  ///< "10" before "2": torchvision's ImageFolder, hence bit_pytorch
};

/// Images with one class per subfolder; labels[i] is the index of paths[i]'s class in `classes`.
struct labelled_images {
  std::vector<std::filesystem::path> paths;
  std::vector<std::size_t> labels;
  std::vector<std::string> classes;
};

/// The subfolders of `folder` are the classes, every image below one belongs to it; classes without images keep their
/// number. Throws io_error if a folder cannot be read, config_error if there is no subfolder.
BIT_FUNC labelled_images list_labelled_images(const std::filesystem::path& folder,
                                              class_order order = class_order::natural);

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/folder.ipp>
#endif
