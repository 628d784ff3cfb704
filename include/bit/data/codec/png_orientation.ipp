// SPDX-License-Identifier: Apache-2.0
// Bodies of data/codec/png_orientation.hpp. Chunks and texts: the PNG specification, sections 5.3 and 11.3.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <bit/data/codec/exif.hpp>
#include <bit/data/codec/png_orientation.hpp>

#if BIT_HAS_ZLIB
#include <zlib.h>
#endif

namespace bit::inline BIT_ABI::data::detail {

/// What zlib-compressed data inflate to; nothing if they are damaged or larger than 1 MiB.
inline std::optional<std::string> png_inflate([[maybe_unused]] std::string_view data) {
#if BIT_HAS_ZLIB
  constexpr std::size_t largest = std::size_t{1} << 20;
  // Deflate makes at most 1032 bytes of one (zlib's technical notes).
  std::string text(std::min(largest, 1032 * data.size()), '\0');
  auto length = static_cast<uLongf>(text.size());
  const int status = ::uncompress(reinterpret_cast<Bytef*>(text.data()), &length,
                                  reinterpret_cast<const Bytef*>(data.data()), static_cast<uLong>(data.size()));
  if (status != Z_OK) return std::nullopt;
  text.resize(length);
  return text;
#else
  return std::nullopt;
#endif
}

/// The text of a tEXt, zTXt or iTXt chunk behind its keyword and NUL.
inline std::optional<std::string> png_text(std::string_view type, std::string_view rest) {
  if (type == "tEXt") return std::string(rest);
  if (type == "zTXt") return rest.empty() || rest[0] != 0 ? std::nullopt : png_inflate(rest.substr(1));
  if (rest.size() < 2) return std::nullopt;
  const bool compressed = rest[0] != 0, known = rest[1] == 0;
  rest.remove_prefix(2);
  for (int name = 0; name < 2; ++name) {  // the language, and the keyword in it
    const std::size_t end = rest.find('\0');
    if (end == rest.npos) return std::nullopt;
    rest.remove_prefix(end + 1);
  }
  if (!compressed) return std::string(rest);
  return known ? png_inflate(rest) : std::nullopt;
}

/// The bytes of ImageMagick's profile: three lines (empty, the kind, the length), then hexadecimal digits in lines. Empty
/// if it is none.
inline std::vector<unsigned char> png_raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const std::size_t end = text.find('\n');
    if (end == text.npos) return {};
    text.remove_prefix(end + 1);
  }
  std::vector<unsigned char> bytes;
  bool second = false;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(c);
    if (digit == std::string_view::npos) return {};
    const auto value = static_cast<unsigned char>(digit < 16 ? digit : digit - 6);
    if (second)
      bytes.back() = static_cast<unsigned char>(bytes.back() << 4 | value);
    else
      bytes.push_back(value);
    second = !second;
  }
  return bytes;
}

BIT_FUNC int png_orientation(std::span<const unsigned char> file) {
  std::vector<unsigned char> exif, profile;
  std::string xmp;
  for (std::size_t at = 8; at + 12 <= file.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | file[at + i];
    if (length > file.size() - at - 12) break;
    const std::string_view chunk(reinterpret_cast<const char*>(file.data()) + at + 4, length + 4);
    at += 12 + length;
    const std::string_view type = chunk.substr(0, 4), data = chunk.substr(4);
    if (type == "eXIf") exif.assign(data.begin(), data.end());
    if (type != "tEXt" && type != "zTXt" && type != "iTXt") continue;
    const std::size_t end = data.find('\0');
    const std::string_view keyword = data.substr(0, end);
    const bool raw = keyword == "Raw profile type exif";
    if (end == data.npos || (!raw && keyword != "XML:com.adobe.xmp")) continue;
    const std::optional<std::string> text = png_text(type, data.substr(end + 1));
    if (text && raw) profile = png_raw_profile(*text);
    if (text && !raw) xmp = *text;
  }
  return orientation_of(exif.empty() ? profile : exif, xmp);
}

}  // namespace bit::inline BIT_ABI::data::detail
