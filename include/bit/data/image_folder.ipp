// SPDX-License-Identifier: Apache-2.0
// Bodies of data/image_folder.hpp.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <bit/data/collection.ipp>
#include <bit/data/image_folder.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

/// The images of one split, with the classes of the whole collection.
inline dataset_ptr dataset_of(const image_collection& found, split_name split, const split_options& options) {
  std::vector<std::filesystem::path> paths;
  std::vector<std::size_t> labels;
  for (const collected_image& image : found.images)
    if (image.split == split) {
      paths.push_back(image.path);
      labels.push_back(*image.label);
    }
  return std::make_shared<file_dataset>(std::move(paths), std::move(labels), found.classes, options.decode,
                                        options.fallback);
}

/// Throws config_error if nothing in `train` shows a class that `measured` has.
inline void check_classes(const dataset& train, const dataset& measured, split_name split,
                          const std::filesystem::path& folder) {
  const auto learned = class_counts(train), asked = class_counts(measured);
  for (std::size_t c = 0; c < asked.size(); ++c)
    if (asked[c] > 0 && learned[c] == 0)
      throw config_error("[data] " + folder.string() + ": expected the classes of its training set in its " +
                         to_string(split) + " set, found also '" + train.class_names()[c] +
                         "'; add training images of it or remove it");
}

}  // namespace detail

BIT_FUNC dataset_split open_image_folder(const std::filesystem::path& folder, const split_options& options) {
  const collection_options reading{.order = options.order, .other_suffixes = options.other_suffixes};
  return open_collection(read_collection(folder, reading), folder, options);
}

BIT_FUNC dataset_split open_collection(const image_collection& found, const std::filesystem::path& folder,
                                       const split_options& options) {
  const auto refuse = [&](const std::string& what) {
    const std::string summary = found.summary();
    throw config_error("[data] " + folder.string() + ": " + what + (summary.empty() ? "" : " (" + summary + ")"));
  };
  if (found.images.empty())
    refuse("expected one subfolder per class with image files (JPEG, PNG, BMP, WebP) in it, found none");
  if (found.classes.empty() || !found.images[0].label)
    refuse("expected one subfolder per class, found " + std::to_string(found.images.size()) +
           " images without classes");
  if (found.count(split_name::whole) > 0)
    return stratified_split(detail::dataset_of(found, split_name::whole, options), options.validation_fraction,
                            options.seed);
  const dataset_ptr train = detail::dataset_of(found, split_name::train, options);
  if (train->size() == 0 && options.needs_train) refuse("expected a folder train/, found other splits only");
  for (const split_name split : {split_name::validation, split_name::test}) {
    if (found.count(split) == 0) continue;
    const dataset_ptr measured = detail::dataset_of(found, split, options);
    if (options.needs_train) detail::check_classes(*train, *measured, split, folder);
    return {train, measured};
  }
  return stratified_split(train, options.validation_fraction, options.seed);
}

}  // namespace bit::inline BIT_ABI::data
