// SPDX-License-Identifier: Apache-2.0
// Bodies of data/decode_options.hpp.
#pragma once

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include <bit/data/decode_options.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {

BIT_FUNC std::size_t default_max_pixels() {
  const char* text = std::getenv("BIT_MAX_PIXELS");
  const std::string_view digits = text == nullptr ? "" : text;
  if (digits.empty()) return 178'956'970;
  std::size_t limit = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), limit);
  if (error != std::errc() || end != digits.data() + digits.size() || limit == 0)
    throw config_error("[image] expected BIT_MAX_PIXELS as a whole number of at least 1, got '" + std::string(digits) +
                       "'");
  return limit;
}

BIT_FUNC std::string raised_limit(std::uint64_t pixels) {
  const std::string n = std::to_string(pixels);
  return "max_pixels=" + n + " in Python, --max-pixels " + n + " on the command line, BIT_MAX_PIXELS=" + n +
         " in the environment, decode_options::max_pixels in C++";
}

}  // namespace bit::inline BIT_ABI::data
