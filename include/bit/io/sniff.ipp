// SPDX-License-Identifier: Apache-2.0
// Bodies of io/sniff.hpp.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>

#include <bit/io/sniff.hpp>

namespace bit::inline BIT_ABI::detail {

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

BIT_FUNC std::string describe_other(std::span<const std::byte> start, std::uint64_t size) {
  constexpr std::string_view python = "; the Python package reads such files: pybit convert IN OUT.safetensors";
  const std::string_view text = as_text(start);
  const auto starts = [&](std::string_view magic) { return text.starts_with(magic); };
  if (size == 0) return "the file is empty; fetch it again";
  if (starts("version https://git-lfs"))
    return "it is a Git LFS pointer of " + std::to_string(size) + " bytes, not the file itself; run git lfs pull";
  if (starts("\x89HDF\r\n\x1a\n")) return "it is an HDF5 file (TensorFlow .h5)" + std::string(python);
  if (text.size() >= 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5)
    return "it is a Python pickle (an old torch file?), which is never executed here" + std::string(python);
  if (starts("\x93NUMPY")) return "it is a single npy array; expected an npz archive with a network's tensors";
  if (starts("\x1f\x8b")) return "it is compressed with gzip; unpack it first";
  std::string_view words = text;
  if (words.starts_with("\xef\xbb\xbf")) words.remove_prefix(3);
  while (!words.empty() && std::isspace(static_cast<unsigned char>(words.front()))) words.remove_prefix(1);
  if (words.starts_with('<')) return "it is a web page (HTML or XML), so the download went wrong; fetch it again";
  if (words.starts_with('{')) return "it is JSON text, perhaps a server's error message; fetch it again";
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == '\0'; }))
    return "it starts with zeros only, as a broken download leaves them; fetch it again";
  std::string hex;
  for (std::byte b : start.first(std::min<std::size_t>(start.size(), 8))) {
    constexpr char digits[] = "0123456789abcdef";
    hex += {' ', digits[std::to_integer<int>(b) >> 4], digits[std::to_integer<int>(b) & 15]};
  }
  return "its first bytes" + hex + " are those of no checkpoint format; expected npz or safetensors";
}

BIT_FUNC file_kind kind_of(std::span<const std::byte> start, std::uint64_t size, const std::string& name) {
  const std::string_view text = as_text(start);
  if (text.starts_with("PK\3\4") || text.starts_with("PK\5\6")) return file_kind::zip;
  std::uint64_t header = 0;
  if (start.size() >= 9) std::memcpy(&header, start.data(), sizeof header);
  if (start.size() >= 9 && size >= 10 && header <= size - 8 && text[8] == '{') return file_kind::safetensors;
  // Text and other formats cannot be a safetensors header length: that would be over 2^48.
  if (name.ends_with(".safetensors") && size > 0 && !text.starts_with("version ") && !text.starts_with('<'))
    return file_kind::safetensors;
  return file_kind::other;
}

}  // namespace bit::inline BIT_ABI::detail
