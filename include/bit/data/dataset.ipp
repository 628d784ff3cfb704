// SPDX-License-Identifier: Apache-2.0
// Bodies of data/dataset.hpp.
#pragma once

#include <algorithm>
#include <utility>

#include <bit/data/dataset.hpp>
#include <bit/detail/finite.hpp>
#include <bit/error.hpp>
#include <bit/random.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

/// Throws shape_error for a label that no class has; `name(i)` says which image it is.
template <class Name>
void check_labels(const std::vector<std::size_t>& labels, std::size_t classes, Name name) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= classes)
      throw shape_error("[data] expected labels below the number of classes, " + std::to_string(classes) + ", got " +
                        std::to_string(labels[i]) + " for " + name(i));
}

/// read(), or what `taken` makes of the fallback's image where there is a fallback and the file's content is refused. A
/// file that cannot be opened is no case for it.
template <class Read, class Take>
auto read_or_fall_back(const std::filesystem::path& path, const image_fallback& fallback, Read read, Take taken) {
  if (!fallback) return read();
  try {
    return read();
  } catch (const format_error&) {
  } catch (const config_error&) {  // a decoder that this build lacks
  }
  return taken(fallback(path));
}

}  // namespace detail

BIT_FUNC file_dataset::file_dataset(std::vector<std::filesystem::path> paths, std::vector<std::size_t> labels,
                                    std::vector<std::string> classes, const decode_options& decode,
                                    image_fallback fallback)
    : paths_(std::move(paths)),
      labels_(std::move(labels)),
      classes_(std::move(classes)),
      decode_(decode),
      fallback_(std::move(fallback)) {
  if (paths_.size() != labels_.size())
    throw shape_error("[data] expected as many labels as paths, got " + std::to_string(labels_.size()) +
                      " labels and " + std::to_string(paths_.size()) + " paths");
  detail::check_labels(labels_, classes_.size(), [this](std::size_t i) { return name(i); });
}

BIT_FUNC rgb_image file_dataset::image(std::size_t i) const {
  return detail::read_or_fall_back(
      paths_[i], fallback_, [&] { return read_image(paths_[i], decode_); }, [](rgb_image image) { return image; });
}

BIT_FUNC std::array<std::size_t, 2> file_dataset::image_size(std::size_t i) const {
  const auto from_header = [&] {
    const image_info info = read_image_info(paths_[i], decode_);
    const bool turned = decode_.apply_orientation && info.orientation >= 5;  // EXIF 5..8 exchange rows and columns
    return turned ? std::array{info.width, info.height} : std::array{info.height, info.width};
  };
  return detail::read_or_fall_back(paths_[i], fallback_, from_header, [](const rgb_image& image) {
    return std::array{image.shape(0), image.shape(1)};
  });
}

BIT_FUNC memory_dataset::memory_dataset(std::vector<std::uint8_t> pixels, std::size_t height, std::size_t width,
                                        std::vector<std::size_t> labels, std::vector<std::string> classes,
                                        std::string source)
    : pixels_(std::move(pixels)),
      height_(height),
      width_(width),
      labels_(std::move(labels)),
      classes_(std::move(classes)),
      source_(std::move(source)) {
  const std::size_t each = 3 * height_ * width_;
  if (each == 0 || pixels_.size() % each != 0 || pixels_.size() / each != labels_.size())
    throw shape_error("[data] " + source_ + ": expected pixels (" + std::to_string(labels_.size()) + "," +
                      std::to_string(height_) + "," + std::to_string(width_) + ",3) for its labels, got " +
                      std::to_string(pixels_.size()) + " values");
  detail::check_labels(labels_, classes_.size(), [this](std::size_t i) { return name(i); });
}

BIT_FUNC rgb_image memory_dataset::image(std::size_t i) const {
  auto image = rgb_image::from_shape({height_, width_, std::size_t{3}});
  std::copy_n(pixels_.data() + image.size() * i, image.size(), image.data());
  return image;
}

BIT_FUNC subset::subset(dataset_ptr whole, std::vector<std::size_t> indices)
    : whole_(std::move(whole)), indices_(std::move(indices)) {
  for (const std::size_t index : indices_)
    if (index >= whole_->size())
      throw shape_error("[data] expected indices below the number of images, " + std::to_string(whole_->size()) +
                        ", got " + std::to_string(index));
}

BIT_FUNC relabelled::relabelled(dataset_ptr whole, std::vector<std::size_t> numbers, std::vector<std::string> classes)
    : whole_(std::move(whole)), numbers_(std::move(numbers)), classes_(std::move(classes)) {
  const auto& names = whole_->class_names();
  if (numbers_.size() != names.size())
    throw shape_error("[data] expected a number for each of " + std::to_string(names.size()) + " classes, got " +
                      std::to_string(numbers_.size()));
  detail::check_labels(numbers_, classes_.size(), [&](std::size_t c) { return "class '" + names[c] + "'"; });
}

BIT_FUNC std::vector<std::size_t> labels_of(const dataset& images) {
  std::vector<std::size_t> labels(images.size());
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = images.label(i);
  return labels;
}

BIT_FUNC std::vector<std::size_t> class_counts(const dataset& images) {
  std::vector<std::size_t> counts(images.class_names().size());
  for (std::size_t i = 0; i < images.size(); ++i) ++counts[images.label(i)];
  return counts;
}

BIT_FUNC void check_trainable(const dataset& images, const std::string& source) {
  const auto counts = class_counts(images);
  if (images.size() == 0) throw config_error("[data] " + source + ": expected images, found none");
  if (counts.size() < 2)
    throw config_error("[data] " + source + ": expected at least two classes, found only '" + images.class_names()[0] +
                       "'; put the images of each class into a folder of its own");
  std::string empty;
  std::size_t found = 0;
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (counts[c] == 0 && ++found <= 10) empty += (found == 1 ? "'" : ", '") + images.class_names()[c] + "'";
  if (found > 10) empty += " and " + std::to_string(found - 10) + " more";
  if (found > 0)
    throw config_error("[data] " + source + ": expected training images of each class, found none of " + empty +
                       "; add images or remove the class");
}

BIT_FUNC std::array<std::size_t, 2> typical_image_size(const dataset& images, std::size_t samples) {
  const std::size_t count = std::min(std::max<std::size_t>(samples, 1), images.size());
  std::vector<std::array<std::size_t, 2>> sizes;
  std::string first_fault;
  for (std::size_t k = 0; k < count; ++k) {
    try {
      sizes.push_back(images.image_size(k * images.size() / count));
    } catch (const format_error& e) {
      if (first_fault.empty()) first_fault = e.what();
    } catch (const io_error& e) {
      if (first_fault.empty()) first_fault = e.what();
    }
  }
  if (sizes.empty())
    throw config_error("[data] expected at least one readable image, tried " + std::to_string(count) + " of " +
                       std::to_string(images.size()) + (first_fault.empty() ? "" : "; the first: " + first_fault));
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::ranges::nth_element(sizes, middle, {}, [](const auto& s) { return s[0] * s[1]; });
  return *middle;
}

BIT_FUNC dataset_split stratified_split(const dataset_ptr& whole, double fraction, std::uint64_t seed) {
  if (!bit::detail::is_non_negative(fraction) || fraction >= 1)
    throw config_error("[data] expected a validation fraction in [0,1), got " + std::to_string(fraction));
  std::vector<std::vector<std::size_t>> members(whole->class_names().size());
  for (std::size_t i = 0; i < whole->size(); ++i) members[whole->label(i)].push_back(i);
  std::vector<std::size_t> train, validation;
  for (std::size_t c = 0; c < members.size(); ++c) {
    const std::size_t n = members[c].size();
    auto wanted = static_cast<std::size_t>(std::lround(fraction * static_cast<double>(n)));
    if (fraction > 0 && n >= 2) wanted = std::clamp<std::size_t>(wanted, 1, n - 1);
    if (n < 2) wanted = 0;
    const auto order = random_permutation(n, seed, random_purpose::split, c);
    for (std::size_t k = 0; k < n; ++k) (k < wanted ? validation : train).push_back(members[c][order[k]]);
  }
  std::ranges::sort(train);
  std::ranges::sort(validation);
  return {std::make_shared<subset>(whole, std::move(train)), std::make_shared<subset>(whole, std::move(validation))};
}

}  // namespace bit::inline BIT_ABI::data
