// Numbers as text. printf and streams follow the program's locale, which writes 0,1 in some; this never does.
#pragma once

#include <array>
#include <charconv>
#include <string>

#include <bit/config.hpp>

namespace bit::inline v0::detail {

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

}  // namespace bit::inline v0::detail
