// SPDX-License-Identifier: Apache-2.0
// Labelled images for training and evaluation: one small interface, and the sets that are made of files, of memory and of
// parts of other sets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/image.hpp>
#include <bit/data/types.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::data {

/// A fixed list of labelled images. All members may be called by several threads at once.
class dataset {
 public:
  dataset() = default;
  dataset(const dataset&) = delete;
  dataset& operator=(const dataset&) = delete;
  virtual ~dataset() = default;

  /// Number of images.
  virtual std::size_t size() const = 0;
  /// Class of image `i`, below class_names().size().
  virtual std::size_t label(std::size_t i) const = 0;
  /// Names of the classes, by label.
  virtual const std::vector<std::string>& class_names() const = 0;
  /// Pixels of image `i`, of any size, 0..255. Throws format_error or io_error if it cannot be read, with its name.
  virtual rgb_image image(std::size_t i) const = 0;
  /// Height and width of image `i` upright, without decoding its pixels; throws as image().
  virtual std::array<std::size_t, 2> image_size(std::size_t i) const = 0;
  /// What messages call image `i`: its path, or "cifar/test.bin, image 17".
  virtual std::string name(std::size_t i) const = 0;
};

using dataset_ptr = std::shared_ptr<const dataset>;

/// Reads a file that read_image() refuses: how a program adds image formats of its own. Returns the upright pixels, or
/// throws format_error or io_error with the file's name. Several threads call it at once.
using image_fallback = std::function<rgb_image(const std::filesystem::path&)>;

/// Image files with their labels, decoded each time they are asked for.
class file_dataset final : public dataset {
 public:
  /// `fallback` reads what read_image() refuses; without one its error stands. Throws shape_error unless there are as many
  /// labels as paths, each below classes.size().
  BIT_FUNC file_dataset(std::vector<std::filesystem::path> paths, std::vector<std::size_t> labels,
                        std::vector<std::string> classes, const decode_options& decode = {},
                        image_fallback fallback = nullptr);
  std::size_t size() const override { return paths_.size(); }
  std::size_t label(std::size_t i) const override { return labels_[i]; }
  const std::vector<std::string>& class_names() const override { return classes_; }
  BIT_FUNC rgb_image image(std::size_t i) const override;
  BIT_FUNC std::array<std::size_t, 2> image_size(std::size_t i) const override;
  std::string name(std::size_t i) const override { return paths_[i].string(); }

 private:
  std::vector<std::filesystem::path> paths_;
  std::vector<std::size_t> labels_;
  std::vector<std::string> classes_;
  decode_options decode_;
  image_fallback fallback_;
};

/// Images of one size in memory.
class memory_dataset final : public dataset {
 public:
  /// `pixels` are (labels.size(),height,width,3), row-major; `source` stands in messages. Throws shape_error unless the
  /// sizes fit and each label is below classes.size().
  BIT_FUNC memory_dataset(std::vector<std::uint8_t> pixels, std::size_t height, std::size_t width,
                          std::vector<std::size_t> labels, std::vector<std::string> classes, std::string source);
  std::size_t size() const override { return labels_.size(); }
  std::size_t label(std::size_t i) const override { return labels_[i]; }
  const std::vector<std::string>& class_names() const override { return classes_; }
  BIT_FUNC rgb_image image(std::size_t i) const override;
  std::array<std::size_t, 2> image_size(std::size_t) const override { return {height_, width_}; }
  std::string name(std::size_t i) const override { return source_ + ", image " + std::to_string(i); }

 private:
  std::vector<std::uint8_t> pixels_;
  std::size_t height_, width_;
  std::vector<std::size_t> labels_;
  std::vector<std::string> classes_;
  std::string source_;
};

/// Some images of another set, with all its classes.
class subset final : public dataset {
 public:
  /// Image i is image indices[i] of `whole`; an index may come twice. Throws shape_error if one is not below its size.
  BIT_FUNC subset(dataset_ptr whole, std::vector<std::size_t> indices);
  std::size_t size() const override { return indices_.size(); }
  std::size_t label(std::size_t i) const override { return whole_->label(indices_[i]); }
  const std::vector<std::string>& class_names() const override { return whole_->class_names(); }
  rgb_image image(std::size_t i) const override { return whole_->image(indices_[i]); }
  std::array<std::size_t, 2> image_size(std::size_t i) const override { return whole_->image_size(indices_[i]); }
  std::string name(std::size_t i) const override { return whole_->name(indices_[i]); }

 private:
  dataset_ptr whole_;
  std::vector<std::size_t> indices_;
};

/// The images of another set under other classes: to measure a model that numbers them in its own way.
class relabelled final : public dataset {
 public:
  /// Label l of `whole` becomes numbers[l], an index into `classes`. Throws shape_error unless there is a number, below
  /// classes.size(), for each class of `whole`.
  BIT_FUNC relabelled(dataset_ptr whole, std::vector<std::size_t> numbers, std::vector<std::string> classes);
  std::size_t size() const override { return whole_->size(); }
  std::size_t label(std::size_t i) const override { return numbers_[whole_->label(i)]; }
  const std::vector<std::string>& class_names() const override { return classes_; }
  rgb_image image(std::size_t i) const override { return whole_->image(i); }
  std::array<std::size_t, 2> image_size(std::size_t i) const override { return whole_->image_size(i); }
  std::string name(std::size_t i) const override { return whole_->name(i); }

 private:
  dataset_ptr whole_;
  std::vector<std::size_t> numbers_;
  std::vector<std::string> classes_;
};

/// All labels, in order.
BIT_FUNC std::vector<std::size_t> labels_of(const dataset& images);

/// Number of images of each class.
BIT_FUNC std::vector<std::size_t> class_counts(const dataset& images);

/// Throws config_error if there are no images, fewer than two classes, or classes without images, which it names: nothing
/// could be learned of them. `source` stands in the message.
BIT_FUNC void check_trainable(const dataset& images, const std::string& source);

/// Height and width of the image with the median area among at most `samples` that lie evenly in the set, what
/// BiT-HyperRule wants to know. Unreadable images are passed over; throws config_error if there is no readable one.
BIT_FUNC std::array<std::size_t, 2> typical_image_size(const dataset& images, std::size_t samples = 101);

/// A training set and what to measure it on.
struct dataset_split {
  dataset_ptr train, validation;
};

/// Splits each class by itself: round(fraction x its images) of them for validation, at least one where it has two, never
/// all. Which ones is a function of (labels, fraction, seed). Throws config_error unless 0 <= fraction < 1.
BIT_FUNC dataset_split stratified_split(const dataset_ptr& whole, double fraction, std::uint64_t seed);

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/dataset.ipp>
#endif
