// SPDX-License-Identifier: Apache-2.0
// Bodies of data/folder.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <set>
#include <system_error>
#include <utility>

#include <bit/data/folder.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

[[noreturn]] inline void fail_folder(const std::filesystem::path& folder, const std::error_code& code) {
  throw io_error("[image] cannot list folder " + folder.string() + ": " + code.message(), code.value());
}

/// The entries of one folder, hidden ones left out.
inline std::vector<std::filesystem::directory_entry> entries_of(const std::filesystem::path& folder) {
  std::error_code code;
  std::filesystem::directory_iterator it(folder, code);
  std::vector<std::filesystem::directory_entry> entries;
  for (; !code && it != std::filesystem::directory_iterator(); it.increment(code))
    if (!it->path().filename().string().starts_with('.')) entries.push_back(*it);
  if (code) fail_folder(folder, code);
  return entries;
}

inline bool is_folder(const std::filesystem::directory_entry& entry) {
  std::error_code dangling;
  return entry.is_directory(dangling);
}

}  // namespace detail

BIT_FUNC bool has_image_suffix(const std::filesystem::path& path) {
  std::string suffix = path.extension().string();
  std::ranges::transform(suffix, suffix.begin(), detail::lower);
  constexpr std::array<std::string_view, 8> known{".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp"};
  return std::ranges::find(known, suffix) != known.end();
}

BIT_FUNC bool natural_less(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  // The run of digits at `at`, without leading zeros; moves `at` behind it.
  const auto number = [](std::string_view s, std::size_t& at) {
    std::size_t begin = at;
    while (at < s.size() && detail::is_digit(s[at])) ++at;
    while (begin + 1 < at && s[begin] == '0') ++begin;
    return s.substr(begin, at - begin);
  };
  while (i < a.size() && j < b.size()) {
    if (detail::is_digit(a[i]) && detail::is_digit(b[j])) {
      const std::string_view digits_a = number(a, i), digits_b = number(b, j);
      if (digits_a.size() != digits_b.size()) return digits_a.size() < digits_b.size();
      if (digits_a != digits_b) return digits_a < digits_b;
      continue;
    }
    const char x = detail::lower(a[i++]), y = detail::lower(b[j++]);
    if (x != y) return static_cast<unsigned char>(x) < static_cast<unsigned char>(y);
  }
  if ((i < a.size()) != (j < b.size())) return i == a.size();
  return a < b;
}

BIT_FUNC std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder) {
  std::vector<std::pair<std::string, std::filesystem::path>> found;  // path inside the folder, path
  std::set<std::filesystem::path> visited;                           // ends cycles of links
  std::vector<std::filesystem::path> waiting{folder};
  while (!waiting.empty()) {
    const std::filesystem::path current = std::move(waiting.back());
    waiting.pop_back();
    std::error_code code;
    const auto real = std::filesystem::canonical(current, code);
    if (code) detail::fail_folder(current, code);
    if (!visited.insert(real).second) continue;
    for (const auto& entry : detail::entries_of(current)) {
      if (detail::is_folder(entry))
        waiting.push_back(entry.path());
      else if (has_image_suffix(entry.path()))
        found.emplace_back(entry.path().lexically_relative(folder).generic_string(), entry.path());
    }
  }
  std::ranges::sort(found, natural_less, [](const auto& image) -> std::string_view { return image.first; });
  std::vector<std::filesystem::path> paths;
  paths.reserve(found.size());
  for (auto& image : found) paths.push_back(std::move(image.second));
  return paths;
}

BIT_FUNC labelled_images list_labelled_images(const std::filesystem::path& folder, class_order order) {
  labelled_images result;
  for (const auto& entry : detail::entries_of(folder))
    if (detail::is_folder(entry)) result.classes.push_back(entry.path().filename().string());
  if (result.classes.empty())
    throw config_error("[image] expected one subfolder per class in " + folder.string() + ", found none");
  if (order == class_order::natural)
    std::ranges::sort(result.classes, natural_less);
  else
    std::ranges::sort(result.classes);
  for (std::size_t label = 0; label < result.classes.size(); ++label) {
    for (auto& path : list_images(folder / result.classes[label])) {
      result.paths.push_back(std::move(path));
      result.labels.push_back(label);
    }
  }
  return result;
}

}  // namespace bit::inline BIT_ABI::data
