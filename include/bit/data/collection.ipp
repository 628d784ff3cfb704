// SPDX-License-Identifier: Apache-2.0
// Bodies of data/collection.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include <bit/data/collection.hpp>
#include <bit/data/collection_layout.ipp>

namespace bit::inline BIT_ABI::data {

BIT_FUNC const char* to_string(split_name split) {
  constexpr std::array names{"whole", "train", "validation", "test"};
  return names[static_cast<std::size_t>(split)];
}

BIT_FUNC split_name split_of_name(std::string_view folder) {
  std::string letters = detail::letters_of(folder);
  constexpr std::array<std::pair<std::string_view, split_name>, 10> known{{{"train", split_name::train},
                                                                           {"training", split_name::train},
                                                                           {"trn", split_name::train},
                                                                           {"val", split_name::validation},
                                                                           {"valid", split_name::validation},
                                                                           {"validation", split_name::validation},
                                                                           {"dev", split_name::validation},
                                                                           {"test", split_name::test},
                                                                           {"testing", split_name::test},
                                                                           {"tst", split_name::test}}};
  for (const std::string_view word : {"images", "image", "imgs", "img", "set", "data", "split"})
    if (letters.size() > word.size() && letters.ends_with(word)) letters.resize(letters.size() - word.size());
  for (const auto& [name, split] : known)
    if (letters == name) return split;
  return split_name::whole;
}

BIT_FUNC const char* to_string(left_out_reason reason) {
  constexpr std::array names{"hidden",
                             "left behind by a system",
                             "no images",
                             "in image formats that are not read here",
                             "without a class folder",
                             "beside the folders of the splits",
                             "repeated through links",
                             "links to nothing",
                             "neither files nor folders"};
  return names[static_cast<std::size_t>(reason)];
}

BIT_FUNC std::size_t image_collection::count(split_name split) const {
  return static_cast<std::size_t>(std::ranges::count(images, split, &collected_image::split));
}

BIT_FUNC std::string image_collection::summary() const {
  std::map<left_out_reason, std::vector<const left_out_entry*>> groups;
  std::size_t visible = 0;
  for (const left_out_entry& e : left_out)
    if (e.reason != left_out_reason::hidden) {
      groups[e.reason].push_back(&e);
      ++visible;
    }
  std::string text;
  if (visible > 0) {
    text = std::to_string(visible) + " of " + std::to_string(images.size() + visible) + " entries were not taken: ";
    bool first = true;
    for (const auto& [reason, entries] : groups) {
      text += (first ? "" : "; ") + std::to_string(entries.size()) + " " + to_string(reason) + " (" +
              escaped_name(entries[0]->path.generic_string()) + (entries.size() > 1 ? ", ..." : "") + ")";
      first = false;
    }
  }
  for (const std::string& note : notes) text += (text.empty() ? "" : "; ") + note;
  return text;
}

BIT_FUNC image_collection read_collection(const std::filesystem::path& folder, const collection_options& options) {
  detail::scanned_tree tree = detail::collection_scanner(folder, options).take();
  const detail::tree_layout layout(tree);
  image_collection result;
  result.left_out = std::move(tree.left_out);
  result.notes = layout.notes;
  detail::class_table classes;
  std::vector<std::pair<const detail::scanned_image*, detail::place>> taken;
  for (const detail::scanned_image& image : tree.images) {
    detail::place at = layout.of(image.folders);
    if (at.left_out)
      result.left_out.push_back({image.path, *at.left_out});
    else
      taken.emplace_back(&image, std::move(at));
  }
  const bool classless = !taken.empty() && std::ranges::none_of(taken, [](const auto& image) {
    return image.second.class_name.has_value();
  });
  // Classes of the training set first, whose spelling counts; folders without images are classes where others are.
  for (const split_name split : {split_name::whole, split_name::train, split_name::validation, split_name::test}) {
    for (const auto& [image, at] : taken)
      if (at.split == split && at.class_name) classes.add(split, *at.class_name);
    if (layout.flat() || classless) continue;
    for (const auto& folders : tree.bare)
      if (const detail::place at = layout.of(folders); at.split == split && at.class_name && folders.size() <= 2)
        classes.add(split, *at.class_name);
  }
  classes.sort(options.order);
  for (const std::string& note : classes.notes) result.notes.push_back(note);
  result.classes = classes.escaped();
  std::map<std::pair<split_name, std::optional<std::size_t>>, std::vector<collected_image>> by_class;
  for (const auto& [image, at] : taken) {
    const auto label = at.class_name ? std::optional(classes.label(at.split, *at.class_name)) : std::nullopt;
    by_class[{at.split, label}].push_back({image->path, at.split, label});
  }
  for (auto& [place, images] : by_class) std::ranges::move(images, std::back_inserter(result.images));
  std::ranges::sort(result.left_out, natural_less, [](const left_out_entry& e) { return e.path.generic_string(); });
  return result;
}

BIT_FUNC std::vector<std::size_t> image_collection::by_path(const std::filesystem::path& folder) const {
  std::vector<std::pair<std::string, std::size_t>> inside;
  for (std::size_t i = 0; i < images.size(); ++i)
    inside.emplace_back(images[i].path.lexically_relative(folder).generic_string(), i);
  std::ranges::sort(inside, natural_less, [](const auto& image) -> std::string_view { return image.first; });
  std::vector<std::size_t> order;
  for (const auto& image : inside) order.push_back(image.second);
  return order;
}

BIT_FUNC std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder,
                                                        const collection_options& options) {
  const image_collection found = read_collection(folder, options);
  std::vector<std::filesystem::path> paths;
  for (const std::size_t i : found.by_path(folder)) paths.push_back(found.images[i].path);
  return paths;
}

BIT_FUNC labelled_images list_labelled_images(const std::filesystem::path& folder, class_order order) {
  image_collection found = read_collection(folder, {.order = order});
  if (found.classes.empty()) {
    const std::string summary = found.summary();
    throw config_error("[data] expected one subfolder per class in " + folder.string() + ", found " +
                       std::to_string(found.images.size()) + " images without classes" +
                       (summary.empty() ? "" : " (" + summary + ")"));
  }
  labelled_images result;
  result.classes = std::move(found.classes);
  for (collected_image& image : found.images) {
    result.paths.push_back(std::move(image.path));
    result.labels.push_back(*image.label);
  }
  return result;
}

}  // namespace bit::inline BIT_ABI::data
