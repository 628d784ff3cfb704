// SPDX-License-Identifier: Apache-2.0
// Options that Python gives as text.
#pragma once

#include <bit/error.hpp>
#include <initializer_list>
#include <string>
#include <utility>

/// The value that `text` names; config_error with all names for other texts.
template <class Value>
Value choose(const std::string& room, const std::string& option, const std::string& text,
             std::initializer_list<std::pair<const char*, Value>> known) {
  std::string names;
  for (const auto& [name, value] : known) {
    if (text == name) return value;
    names += (names.empty() ? "'" : " or '") + std::string(name) + "'";
  }
  throw bit::config_error("[" + room + "] expected " + option + " " + names + ", got '" + text + "'");
}
