// SPDX-License-Identifier: Apache-2.0
// One reader of image collections: which files of a folder are images, which class and which split each belongs to, and
// what was left out and why. Training, evaluation, embedding, probing and prediction all ask it, so they agree.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/folder.hpp>

namespace bit::inline BIT_ABI::data {

/// The part of a data set that an image belongs to, which the name of a folder above it tells.
enum class split_name {
  whole,       ///< no folder names a split
  train,       ///< train, training
  validation,  ///< val, valid, validation, dev
  test,        ///< test, testing
};

/// "whole", "train", "validation" or "test".
BIT_FUNC const char* to_string(split_name split);

/// The split that a folder's name tells, in any case and also beside a year, a number or words such as "set" and "images":
/// "Train", "val2017", "test_images". split_name::whole for any other name. Thread-safe.
BIT_FUNC split_name split_of_name(std::string_view folder);

/// Why an entry of a folder is not in the collection.
enum class left_out_reason {
  hidden,         ///< its name begins with a dot
  litter,         ///< left behind by a system or a program, is_litter_name()
  not_an_image,   ///< neither name nor content are those of an image
  other_format,   ///< an image in a format that the caller does not read
  no_class,       ///< lies beside the class folders, or in a split without any while other splits have some
  beside_splits,  ///< lies beside the folders of the splits
  repeated_link,  ///< a link to a file or a folder that is in the collection already, or a loop
  broken_link,    ///< a link to nothing
  special,        ///< neither a file nor a folder: a pipe, a socket, a device
};

/// What a report calls the reason, e.g. "left behind by a system".
BIT_FUNC const char* to_string(left_out_reason reason);

/// An entry that was left out; a folder stands for everything below it.
struct left_out_entry {
  std::filesystem::path path;
  left_out_reason reason = left_out_reason::hidden;
};

/// An image of a collection.
struct collected_image {
  std::filesystem::path path;
  split_name split = split_name::whole;
  std::optional<std::size_t> label;  ///< into image_collection::classes; none in a collection without classes
};

/// What a folder holds. Every entry below it is an image of `images`, or stands in `left_out`, or lies below a folder that
/// stands there.
struct image_collection {
  std::vector<collected_image> images;   ///< by split, class, and natural order of the path within the class
  std::vector<std::string> classes;      ///< names of the class folders, as escaped_name() writes them; may be empty
  std::vector<left_out_entry> left_out;  ///< in natural order of their paths
  std::vector<std::string> notes;        ///< sentences about how the folder was understood, where that was a decision

  /// Number of images of a split.
  BIT_FUNC std::size_t count(split_name split) const;
  /// Positions of the images in natural order of their paths below `folder`, which is where they were found.
  BIT_FUNC std::vector<std::size_t> by_path(const std::filesystem::path& folder) const;
  /// One line about what was left out, e.g. "4 of 12 files were not taken: 3 in formats that ... (a.tif, ...)", followed by
  /// the notes; empty if nothing but hidden entries was left out and there are no notes.
  BIT_FUNC std::string summary() const;
};

struct collection_options {
  class_order order = class_order::natural;  ///< how classes are numbered
  /// Suffixes, with the dot and in lower case, of further formats that the caller reads by other means than decode().
  std::vector<std::string> other_suffixes = {};
};

/// Reads a folder as a collection of images.
///
/// Which entries: files with the suffix of a format that decode() or the caller reads, and files with no or an unknown
/// suffix whose first bytes are those of such an image. Links are followed; what a link repeats is left out.
///
/// Which split and class, decided by names alone, never by the order in which the file system lists them:
/// - If all folders with images are named as splits, or one of them is and holds class folders, they are splits, and the
///   folders in them classes: train/cat/1.jpg. Classes may hold the splits instead: cat/train/1.jpg.
/// - Otherwise the folders are classes, and everything below one belongs to it: cat/2024/1.jpg.
/// - A folder without subfolders, or one whose own images are more than those in its subfolders, has no classes.
/// Class names that differ between splits only in case or in how accents are composed are one class; a note says so.
/// A class folder without images keeps its number.
///
/// Throws io_error if the folder or one below it cannot be listed. Thread-safe.
BIT_FUNC image_collection read_collection(const std::filesystem::path& folder, const collection_options& options = {});

/// The images of read_collection(), sorted by natural_less on their path inside the folder. Throws io_error if a folder
/// cannot be listed. Thread-safe.
BIT_FUNC std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder,
                                                        const collection_options& options = {});

/// Images with their classes; labels[i] is the index of paths[i]'s class in `classes`.
struct labelled_images {
  std::vector<std::filesystem::path> paths;
  std::vector<std::size_t> labels;
  std::vector<std::string> classes;
};

/// The images of read_collection(), all splits together. Throws io_error if a folder cannot be listed, and config_error,
/// which says what was found instead, if the collection has no classes. Thread-safe.
BIT_FUNC labelled_images list_labelled_images(const std::filesystem::path& folder,
                                              class_order order = class_order::natural);

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/collection.ipp>
#endif
