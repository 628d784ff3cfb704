// SPDX-License-Identifier: Apache-2.0
// Bodies of data/name.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <bit/data/name.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

/// Bytes of the UTF-8 sequence that `text` begins with, or 0 if it begins with none: too short, too long for its code
/// point, a surrogate, or beyond U+10FFFF.
inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first < 0xf5                  ? 4
                                                             : 0;
  if (first < 0xc2 || length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool surrogate = first == 0xed && byte(1) >= 0xa0;
  const bool beyond = first == 0xf4 && byte(1) >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

/// Appends a code point of three bytes in UTF-8, which Hangul's letters are.
inline void append_three_bytes(std::string& to, std::uint32_t code) {
  to += static_cast<char>(0xe0 | (code >> 12));
  to += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
  to += static_cast<char>(0x80 | (code & 0x3f));
}

/// Appends the letters of a Hangul syllable and returns true, or false if `letter` is none (Unicode 15, section 3.12:
/// 19 leading consonants, 21 vowels, 28 trailing consonants of which the first is none).
inline bool append_hangul(std::string& to, std::string_view letter) {
  if (letter.size() != 3) return false;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(letter[i])); };
  const std::uint32_t code = ((byte(0) & 0x0f) << 12) | ((byte(1) & 0x3f) << 6) | (byte(2) & 0x3f);
  if (code < 0xac00 || code > 0xd7a3) return false;
  const std::uint32_t index = code - 0xac00, trailing = index % 28;
  append_three_bytes(to, 0x1100 + index / (21 * 28));
  append_three_bytes(to, 0x1161 + index % (21 * 28) / 28);
  if (trailing != 0) append_three_bytes(to, 0x11a7 + trailing);
  return true;
}

/// What a letter beyond ASCII is folded to, or the letter itself.
inline std::string_view folded_letter(std::string_view letter) {
  constexpr std::string_view table =
#include <bit/data/name_fold.inl>
      ;
  for (std::size_t at = 0; at < table.size();) {
    const std::size_t end = table.find(' ', at);
    const std::string_view entry = table.substr(at, end - at);
    if (entry.starts_with(letter)) return entry.substr(letter.size());
    at = end + 1;
  }
  return letter;
}

}  // namespace detail

BIT_FUNC std::string escaped_name(std::string_view name) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  while (!name.empty()) {
    const auto first = static_cast<unsigned char>(name[0]);
    std::size_t length = detail::utf8_length(name);
    if (length == 0 || first < 0x20 || first == 0x7f) {
      text += {'\\', 'x', digits[first >> 4], digits[first & 15]};
      length = 1;
    } else {
      text += name.substr(0, length);
    }
    name.remove_prefix(length);
  }
  return text;
}

BIT_FUNC std::string name_key(std::string_view name) {
  std::string key;
  while (!name.empty()) {
    const std::size_t length = std::max<std::size_t>(detail::utf8_length(name), 1);
    const std::string_view letter = name.substr(0, length);
    if (length == 1)
      key += detail::ascii_lower(letter[0]);
    else if (!detail::append_hangul(key, letter))
      key += detail::folded_letter(letter);
    name.remove_prefix(length);
  }
  return key;
}

BIT_FUNC bool is_litter_name(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), detail::ascii_lower);
  // Synology and QNAP; archives made on macOS; Windows; Linux file systems; Python and notebooks.
  constexpr std::array<std::string_view, 22> known{"@eadir",           "#recycle",
                                                   "@recycle",         "@recently-snapshot",
                                                   "#snapshot",        "@tmp",
                                                   "__macosx",         "icon\r",
                                                   "thumbs.db",        "thumbs.db:encryptable",
                                                   "ehthumbs.db",      "desktop.ini",
                                                   "$recycle.bin",     "recycler",
                                                   "lost+found",       "system volume information",
                                                   "__pycache__",      "ipynb_checkpoints",
                                                   "@__thumb",         "picasa.ini",
                                                   "zbthumbnail.info", "found.000"};
  if (std::ranges::find(known, lower) != known.end()) return true;
  constexpr std::array<std::string_view, 6> endings{"~", ".part", ".crdownload", ".partial", ".tmp", ".download"};
  return lower.starts_with("~$") ||
         std::ranges::any_of(endings, [&](std::string_view e) { return lower.ends_with(e); });
}

}  // namespace bit::inline BIT_ABI::data
