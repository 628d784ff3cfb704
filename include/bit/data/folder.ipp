// SPDX-License-Identifier: Apache-2.0
// Bodies of data/folder.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <string>

#include <bit/data/folder.hpp>
#include <bit/data/name.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace detail

BIT_FUNC bool has_image_suffix(const std::filesystem::path& path) {
  std::string suffix = path.extension().string();
  std::ranges::transform(suffix, suffix.begin(), detail::ascii_lower);
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
    const char x = detail::ascii_lower(a[i++]), y = detail::ascii_lower(b[j++]);
    if (x != y) return static_cast<unsigned char>(x) < static_cast<unsigned char>(y);
  }
  if ((i < a.size()) != (j < b.size())) return i == a.size();
  return a < b;
}

}  // namespace bit::inline BIT_ABI::data
