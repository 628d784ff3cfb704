// SPDX-License-Identifier: Apache-2.0
// A training and a validation set from a folder of images, one subfolder per class.
#pragma once

#include <cstdint>
#include <filesystem>

#include <bit/config.hpp>
#include <bit/data/dataset.hpp>
#include <bit/data/folder.hpp>

namespace bit::inline BIT_ABI::data {

struct split_options {
  class_order order = class_order::natural;  ///< how classes are numbered; bit_pytorch: lexical
  double validation_fraction = 0.2;          ///< of each class, where the source has no validation set of its own
  std::uint64_t seed = 0;                    ///< of that split
  decode_options decode = {};
};

/// If `folder` holds a folder train/ with classes in it, that is the training set, and the first of val/, valid/,
/// validation/ and test/ that is there the validation set, its classes found by their names in train/. Otherwise the
/// subfolders are the classes, and a seeded stratified split is made. Links to folders are followed. Throws io_error if a
/// folder cannot be read, config_error if there are no classes or no images or the validation set has a class that the
/// training set lacks. Classes without images keep their number; check_trainable() reports them.
BIT_FUNC dataset_split open_image_folder(const std::filesystem::path& folder, const split_options& options = {});

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/image_folder.ipp>
#endif
