// SPDX-License-Identifier: Apache-2.0
// Numbers as text. printf and streams follow the program's locale, which writes 0,1 in some; this never does.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::detail {

/// The shortest text that reads back as the same number.
inline std::string number_text(double value) {
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// `digits` significant digits (general), or digits after the point (fixed); |value| below 1e300.
inline std::string number_text(double value, std::chars_format form, int digits) {
  std::array<char, 384> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value, form, digits).ptr};
}

/// Bytes as a person reads them: "12 MiB", "3.4 GiB".
inline std::string size_text(std::uint64_t bytes) {
  const double gib = static_cast<double>(bytes) / (1024.0 * 1024 * 1024);
  return gib < 1 ? number_text(gib * 1024, std::chars_format::fixed, 0) + " MiB"
                 : number_text(gib, std::chars_format::fixed, 1) + " GiB";
}

/// Seconds as a person reads them: "0.52 s", "12 min", "3.4 h".
inline std::string duration_text(double seconds) {
  if (seconds < 60) return number_text(seconds, std::chars_format::fixed, seconds < 10 ? 2 : 0) + " s";
  if (seconds < 7200) return number_text(seconds / 60, std::chars_format::fixed, 0) + " min";
  return number_text(seconds / 3600, std::chars_format::fixed, seconds < 36000 ? 1 : 0) + " h";
}

}  // namespace bit::inline BIT_ABI::detail
