// SPDX-License-Identifier: Apache-2.0
// Bodies of io/npy.hpp.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include <bit/error.hpp>
#include <bit/io/npy.hpp>

namespace bit::inline BIT_ABI::detail {

/// Parser of the one kind of literal that npy headers are: a dict of 'descr', 'fortran_order' and 'shape'.
class npy_literal {
 public:
  npy_literal(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  npy_header parse() {
    npy_header header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !has_descr) {
        has_descr = true;
        descr(header);
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        header.fortran_order = boolean();
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        header.shape = shape();
      } else {
        fail("expected the keys descr, fortran_order and shape once each, got '" + key + "'");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (at_ != text_.size()) fail("expected nothing after the dictionary");
    if (!has_descr || !has_order || !has_shape) fail("expected the keys descr, fortran_order and shape");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw format_error("[npy] " + where_ + ": header: " + what + " (at character " + std::to_string(at_) + ")");
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "'");
  }
  std::string string() {
    skip_spaces();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail("expected a quoted string");
    const std::size_t begin = ++at_;
    while (at_ < text_.size() && text_[at_] != quote) {
      const char c = text_[at_];
      if (c == '\\' || c < ' ' || c > '~') fail("expected plain characters in a string");
      ++at_;
    }
    if (at_ == text_.size()) fail("expected the end of a string");
    return std::string(text_.substr(begin, at_++ - begin));
  }
  bool boolean() {
    skip_spaces();
    for (const auto& [word, value] : {std::pair{std::string_view("True"), true}, {std::string_view("False"), false}})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    fail("expected True or False for fortran_order");
  }
  std::size_t integer() {
    skip_spaces();
    const std::size_t begin = at_;
    std::uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(value, std::uint64_t{10}, &value) ||
          __builtin_add_overflow(value, static_cast<std::uint64_t>(text_[at_] - '0'), &value))
        fail("a size in the shape does not fit 64 bits");
    if (at_ == begin) fail("expected a whole number in the shape");
    return value;
  }
  std::vector<std::size_t> shape() {
    std::vector<std::size_t> sizes;
    expect('(');
    while (!accept(')')) {
      sizes.push_back(integer());
      if (!accept(',')) {
        if (sizes.size() == 1) fail("expected a tuple for the shape, such as (3,)");
        expect(')');
        break;
      }
    }
    if (sizes.size() > 32) fail("expected at most 32 axes, got " + std::to_string(sizes.size()));
    return sizes;
  }
  void descr(npy_header& header) {
    skip_spaces();
    if (at_ < text_.size() && text_[at_] == '[') fail("records with fields are refused; expected a plain dtype");
    const std::string code = string();
    const auto type = type_of(code.empty() ? code : code.substr(1));
    const char order = code.empty() ? '\0' : code[0];
    if (code.find('O') != std::string::npos)
      fail("descr '" + code + "' means pickled Python objects, which are never read; expected numbers such as '<f4'");
    if (!type || (order != '<' && order != '>' && order != '|' && order != '='))
      fail("descr '" + code + "' is not a dtype that this reader knows, such as '<f4'");
    if (order == '|' && io::size_of(*type) > 1 && *type != io::dtype::bfloat16)
      fail("descr '" + code + "' leaves the byte order open");
    header.type = *type;
    header.big_endian = order == '>';
  }
  static std::optional<io::dtype> type_of(std::string_view code) {
    using enum io::dtype;
    // V2 is how NumPy stores the ml_dtypes type bfloat16.
    constexpr std::pair<std::string_view, io::dtype> known[] = {
        {"f4", float32}, {"f8", float64}, {"f2", float16}, {"V2", bfloat16}, {"b1", boolean},
        {"i1", int8},    {"u1", uint8},   {"i2", int16},   {"u2", uint16},   {"i4", int32},
        {"u4", uint32},  {"i8", int64},   {"u8", uint64}};
    for (const auto& [name, type] : known)
      if (name == code) return type;
    return std::nullopt;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
};

BIT_FUNC npy_header parse_npy_header(std::span<const std::byte> bytes, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw format_error("[npy] " + where + ": " + what); };
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0)
    fail("expected an npy array, which starts with \\x93NUMPY, in at least 10 bytes");
  const unsigned version = byte(6);
  if (version < 1 || version > 3 || byte(7) != 0)
    fail("expected npy version 1.0, 2.0 or 3.0, got " + std::to_string(version) + "." + std::to_string(byte(7)));
  const std::size_t start = version == 1 ? 10 : 12;
  if (bytes.size() < start) fail("ends inside its header");
  std::size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= std::size_t{byte(10)} << 16 | std::size_t{byte(11)} << 24;
  if (length > 10'000) fail("expected a header of at most 10000 bytes, got " + std::to_string(length));
  if (bytes.size() < start + length) fail("ends inside its header of " + std::to_string(length) + " bytes");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + start, length);
  if (text.empty() || text.back() != '\n') fail("expected the header to end with a line break");
  npy_header header = npy_literal(text, where).parse();
  header.data_offset = start + length;
  if (!io::byte_count(header.shape, header.type))
    fail("the shape " + io::to_string(header.shape) + " has more bytes than 64 bits can count");
  return header;
}

BIT_FUNC std::string make_npy_header(const std::vector<std::size_t>& shape) {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': " + io::to_string(shape) + ", }";
  text.append(63 - (10 + text.size()) % 64, ' ');
  text += '\n';
  const std::size_t length = text.size();
  return std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(length & 0xff) + static_cast<char>(length >> 8) + text;
}

}  // namespace bit::inline BIT_ABI::detail
