// SPDX-License-Identifier: Apache-2.0
// Bodies of detail/json.hpp.
#pragma once

#include <algorithm>

#include <bit/detail/json.hpp>

namespace bit::inline BIT_ABI::detail {

/// Bytes of the well-formed UTF-8 sequence (RFC 3629) that `text` starts with; 0 if there is none.
inline std::size_t utf8_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc0 || first > 0xf7 || text.size() < length) return 0;
  char32_t code = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if (next >> 6 != 2) return 0;
    code = code << 6 | (next & 0x3fu);
  }
  constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};  // shorter forms exist below
  const bool surrogate = code >> 11 == 0xd800 >> 11;
  return code >= least[length] && code <= 0x10ffff && !surrogate ? length : 0;
}

inline void append_utf8(std::string& text, char32_t code) {
  const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(lead[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) text += static_cast<char>(0x80u | (code >> (6 * i) & 0x3fu));
}

BIT_FUNC void json_reader::fail(const std::string& what) const {
  throw json_error("byte " + std::to_string(at_) + ": " + what);
}

BIT_FUNC void json_reader::refuse(const char* expected) const {
  std::string got = "the end";
  if (at_ < text_.size()) {
    const char c = text_[at_];
    got = c > ' ' && c <= '~' ? std::string{'\'', c, '\''}
                              : "a byte of value " + std::to_string(static_cast<unsigned char>(c));
  }
  fail(std::string("expected ") + expected + ", got " + got);
}

BIT_FUNC char json_reader::next() {
  at_ = std::min(text_.find_first_not_of(" \t\n\r", at_), text_.size());
  return at_ < text_.size() ? text_[at_] : '\0';
}

BIT_FUNC bool json_reader::skip(char c) {
  const bool there = next() == c;
  at_ += there;
  return there;
}

BIT_FUNC void json_reader::take(char c, const char* what) {
  if (!skip(c)) refuse(what);
}

/// After a member or element: true past a comma, false past the closing bracket.
BIT_FUNC bool json_reader::another(char close) {
  if (skip(',')) return true;
  take(close, close == '}' ? "a comma or }" : "a comma or ]");
  return false;
}

/// The four hexadecimal digits of \uXXXX.
BIT_FUNC char32_t json_reader::code_unit() {
  char32_t unit = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) refuse("four hexadecimal digits after \\u");
    unit = unit << 4 | static_cast<char32_t>(digit);
  }
  return unit;
}

/// What follows a backslash, appended to `value`.
BIT_FUNC void json_reader::escape(std::string& value) {
  constexpr std::string_view letters = "\"\\/bfnrtu", meanings = "\"\\/\b\f\n\r\t";
  const std::size_t letter = at_ < text_.size() ? letters.find(text_[at_]) : letters.npos;
  if (letter == letters.npos) refuse("one of \"\\/bfnrtu after a backslash");
  ++at_;
  if (letter < meanings.size()) {
    value += meanings[letter];
    return;
  }
  char32_t code = code_unit();
  if (code >> 10 == 0xd800 >> 10 && text_.substr(at_, 2) == "\\u") {  // a pair of surrogates is one character
    at_ += 2;
    const char32_t low = code_unit();
    if (low >> 10 != 0xdc00 >> 10) fail("expected the second half of a surrogate pair");
    code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
  } else if (code >> 11 == 0xd800 >> 11) {
    fail("expected a character, got half of a surrogate pair");
  }
  append_utf8(value, code);
}

BIT_FUNC std::string json_reader::string() {
  take('"', "a string");
  std::string value;
  while (at_ < text_.size() && text_[at_] != '"') {
    if (text_[at_] == '\\') {
      ++at_;
      escape(value);
      continue;
    }
    const std::size_t length = utf8_length(text_.substr(at_));
    if (length == 0 || static_cast<unsigned char>(text_[at_]) < ' ') refuse("UTF-8 without control characters");
    value.append(text_.substr(at_, length));
    at_ += length;
  }
  if (at_ == text_.size()) refuse("a closing quote");
  ++at_;
  return value;
}

BIT_FUNC std::uint64_t json_reader::number() {
  constexpr const char* expected = "a whole number from 0 to 2^64-1";
  const char first = next();
  if (first < '0' || first > '9') refuse(expected);
  std::uint64_t value = 0;
  const std::size_t begin = at_;
  for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
    const auto digit = static_cast<std::uint64_t>(text_[at_] - '0');
    if (value > (~std::uint64_t{0} - digit) / 10 || (first == '0' && at_ > begin)) refuse(expected);
    value = value * 10 + digit;
  }
  if (at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E')) refuse(expected);
  return value;
}

BIT_FUNC void json_reader::end() {
  next();
  if (at_ < text_.size()) refuse("the end");
}

BIT_FUNC std::string json_string(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string quoted(1, '"');
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) >= ' ') {
      quoted += c;
    } else {
      quoted += "\\u00";
      quoted += digits[c >> 4];
      quoted += digits[c & 15];
    }
  }
  return quoted += '"';
}

BIT_FUNC std::string json_object(const std::map<std::string, std::string>& members) {
  std::string text;
  for (const auto& [key, value] : members)
    text += (text.empty() ? "" : ",") + json_string(key) + ':' + json_string(value);
  return '{' + text + '}';
}

BIT_FUNC std::map<std::string, std::string> read_json_object(std::string_view text) {
  std::map<std::string, std::string> members;
  json_reader in(text);
  in.object([&](std::string key) {
    if (members.contains(key)) in.fail("the key " + key + " occurs twice");
    members[std::move(key)] = in.string();
  });
  in.end();
  return members;
}

BIT_FUNC std::string json_list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ",") + json_string(item);
  return '[' + text + ']';
}

BIT_FUNC std::vector<std::string> read_json_list(std::string_view text) {
  std::vector<std::string> items;
  json_reader in(text);
  in.array([&] { items.push_back(in.string()); });
  in.end();
  return items;
}

}  // namespace bit::inline BIT_ABI::detail
