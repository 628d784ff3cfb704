// SPDX-License-Identifier: Apache-2.0
// A training and a validation set from a folder of images, one subfolder per class.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/collection.hpp>
#include <bit/data/dataset.hpp>

namespace bit::inline BIT_ABI::data {

struct split_options {
  class_order order = class_order::natural;  ///< how classes are numbered; bit_pytorch: lexical
  double validation_fraction = 0.2;          ///< of each class, where the source has no validation set of its own
  std::uint64_t seed = 0;                    ///< of that split
  bool needs_train = true;                   ///< false: only to measure on; a val/ or test/ alone will do
  decode_options decode = {};
  image_fallback fallback = nullptr;  ///< reads files that decode() refuses
  /// Formats that `fallback` reads, see collection_options; open_collection() does not ask.
  std::vector<std::string> other_suffixes = {};
};

/// The training and validation set of a folder as read_collection() understands it: where it is divided, its training
/// set and its validation set, or for want of one its test set; otherwise a seeded stratified split of all its images.
/// Throws io_error if a folder cannot be read, config_error if there are no images, no classes, and, with needs_train, if
/// there is no training set or none of its images shows a class that is to be measured. Classes without images keep their number; check_trainable()
/// reports them.
BIT_FUNC dataset_split open_image_folder(const std::filesystem::path& folder, const split_options& options = {});

/// The same of a collection that has been read; `folder` stands in messages.
BIT_FUNC dataset_split open_collection(const image_collection& found, const std::filesystem::path& folder,
                                       const split_options& options = {});

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/image_folder.ipp>
#endif
