// SPDX-License-Identifier: Apache-2.0
// Bodies of data/image_folder.hpp.
#pragma once

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include <bit/data/folder.ipp>
#include <bit/data/image_folder.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

/// True for a folder with a folder in it.
inline bool has_subfolder(const std::filesystem::path& folder) {
  std::error_code none;
  if (!std::filesystem::is_directory(folder, none)) return false;
  return std::ranges::any_of(entries_of(folder), is_folder);
}

inline labelled_images list_some_images(const std::filesystem::path& folder, class_order order) {
  labelled_images found = list_labelled_images(folder, order);
  if (found.paths.empty())
    throw config_error("[data] expected image files (JPEG, PNG, BMP, WebP) in the subfolders of " + folder.string() +
                       ", found none");
  return found;
}

/// Gives the classes of `found` their numbers in `classes`.
inline void renumber(labelled_images& found, const std::vector<std::string>& classes,
                     const std::filesystem::path& folder, const std::filesystem::path& train) {
  std::vector<std::size_t> number;
  for (const std::string& name : found.classes) {
    const auto at = std::ranges::find(classes, name);
    if (at == classes.end())
      throw config_error("[data] " + folder.string() + ": expected the classes of " + train.string() +
                         ", found also '" + name + "'; add training images of it or remove it");
    number.push_back(static_cast<std::size_t>(at - classes.begin()));
  }
  for (std::size_t& label : found.labels) label = number[label];
}

}  // namespace detail

BIT_FUNC dataset_split open_image_folder(const std::filesystem::path& folder, const split_options& options) {
  const auto made = [&](labelled_images found, const std::vector<std::string>& classes) {
    return std::make_shared<file_dataset>(std::move(found.paths), std::move(found.labels), classes, options.decode);
  };
  const bool divided = detail::has_subfolder(folder / "train");
  const std::filesystem::path train = divided ? folder / "train" : folder;
  labelled_images found = detail::list_some_images(train, options.order);
  const std::vector<std::string> classes = found.classes;
  const dataset_ptr whole = made(std::move(found), classes);
  if (divided) {
    for (const char* name : {"val", "valid", "validation", "test"}) {
      const std::filesystem::path validation = folder / name;
      if (!detail::has_subfolder(validation)) continue;
      labelled_images measured = detail::list_some_images(validation, options.order);
      detail::renumber(measured, classes, validation, train);
      return {whole, made(std::move(measured), classes)};
    }
  }
  return stratified_split(whole, options.validation_fraction, options.seed);
}

}  // namespace bit::inline BIT_ABI::data
