// SPDX-License-Identifier: Apache-2.0
// Bodies of data/csv.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <utility>

#include <bit/data/csv.hpp>
#include <bit/data/folder.ipp>
#include <bit/data/name.ipp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

/// Appends a code point in UTF-8.
inline void append_utf8(std::string& to, std::uint32_t code) {
  const auto rest = [&](int shift) { to += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    to += static_cast<char>(code);
  } else if (code < 0x800) {
    to += static_cast<char>(0xc0 | (code >> 6));
    rest(0);
  } else if (code < 0x10000) {
    to += static_cast<char>(0xe0 | (code >> 12));
    rest(6);
    rest(0);
  } else {
    to += static_cast<char>(0xf0 | (code >> 18));
    rest(12);
    rest(6);
    rest(0);
  }
}

/// UTF-16 behind its byte-order mark; a lone surrogate becomes U+FFFD.
inline std::string from_utf16(std::string_view bytes, bool big_endian) {
  const auto unit = [&](std::size_t i) {
    const auto low = static_cast<unsigned char>(bytes[2 * i + (big_endian ? 1 : 0)]);
    const auto high = static_cast<unsigned char>(bytes[2 * i + (big_endian ? 0 : 1)]);
    return static_cast<std::uint32_t>(high << 8 | low);
  };
  std::string text;
  for (std::size_t i = 1; i < bytes.size() / 2; ++i) {
    std::uint32_t code = unit(i);
    const bool pair = code >= 0xd800 && code < 0xdc00 && i + 1 < bytes.size() / 2 && unit(i + 1) >> 10 == 0x37;
    if (pair) code = 0x10000 + ((code - 0xd800) << 10) + (unit(++i) - 0xdc00);
    append_utf8(text, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
  }
  return text;
}

BIT_FUNC std::string utf8_text(std::string_view bytes, const std::string& encoding, const std::string& name) {
  if (bytes.starts_with("\xff\xfe")) return from_utf16(bytes, false);
  if (bytes.starts_with("\xfe\xff")) return from_utf16(bytes, true);
  if (encoding == "latin-1" || encoding == "cp1252") {
    // Windows-1252 where it differs from Latin-1; 0: not used (unicode.org, CP1252.TXT).
    constexpr std::array<std::uint16_t, 32> windows{0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                                    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
                                                    0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                                    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};
    std::string text;
    for (const char c : bytes) {
      const auto byte = static_cast<unsigned char>(c);
      const bool special = encoding == "cp1252" && byte >= 0x80 && byte < 0xa0 && windows[byte - 0x80] != 0;
      append_utf8(text, special ? windows[byte - 0x80] : byte);
    }
    return text;
  }
  if (encoding != "utf-8")
    throw config_error("[data] expected encoding utf-8, latin-1 or cp1252, got '" + encoding + "'");
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  std::size_t line = 1;
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = utf8_length(bytes.substr(i));
    if (length == 0)
      throw format_error(name + ":" + std::to_string(line) + ": expected UTF-8, found the byte " +
                         escaped_name(bytes.substr(i, 1)) +
                         "; save the list as UTF-8, or give its encoding (cp1252 for most " + "lists of spreadsheets)");
    line += bytes[i] == '\n' ? 1 : 0;
    i += length;
  }
  return std::string(bytes);
}

BIT_FUNC std::vector<csv_record> parse_csv(std::string_view text, const std::string& name, char separator) {
  std::vector<csv_record> records;
  std::size_t line = 1, i = 0;
  while (i < text.size()) {
    csv_record record{line, {""}};
    bool ended = false, quoted = false;
    // Blanks around what is not quoted do not count.
    const auto end_field = [&] {
      std::string& field = record.fields.back();
      const auto blank = [&](char c) { return (c == ' ' || c == '\t') && c != separator; };
      while (!quoted && !field.empty() && blank(field.back())) field.pop_back();
      std::size_t first = 0;
      while (!quoted && first < field.size() && blank(field[first])) ++first;
      field.erase(0, first);
      quoted = false;
    };
    while (i < text.size() && !ended) {
      std::string& field = record.fields.back();
      const char c = text[i++];
      if (c == '"' && field.find_first_not_of(" \t") == std::string::npos && !quoted) {
        field.clear();
        quoted = true;
        for (; i < text.size(); ++i) {
          if (text[i] == '"' && (i + 1 == text.size() || text[i + 1] != '"')) break;
          if (text[i] == '"') ++i;  // two quotes stand for one
          if (text[i] == '\n') ++line;
          field += text[i];
        }
        if (i++ >= text.size())
          throw format_error(name + ":" + std::to_string(record.line) + ": a quote is not closed");
      } else if (c == separator) {
        end_field();
        record.fields.emplace_back();
      } else if (c == '\n') {
        ++line;
        ended = true;
      } else if (quoted && (c == ' ' || c == '\t')) {
        continue;  // between a closing quote and the separator
      } else if (c != '\r' || (i < text.size() && text[i] != '\n')) {
        field += c;
      }
    }
    end_field();
    if (std::ranges::any_of(record.fields, [](const std::string& f) { return !f.empty(); }))
      records.push_back(std::move(record));
  }
  return records;
}

/// The separator that stands most often outside quotes in the first line that holds one; a comma if none does.
inline char separator_of(std::string_view text) {
  constexpr std::string_view known = ",;\t|";
  std::array<std::size_t, known.size()> counts{};
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (const auto at = known.find(c); !quoted && at != std::string_view::npos) ++counts[at];
    if (c == '\n' && !quoted && std::ranges::any_of(counts, [](std::size_t n) { return n > 0; })) break;
  }
  return known[static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin())];
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file.is_open() || file.bad()) {
    const int code = errno;
    throw io_error("[data] cannot read " + path.string() + ": " + std::strerror(code), code);
  }
  return text;
}

/// Where a list's paths and labels stand, and whether its first line is a header.
struct csv_columns {
  std::size_t path = 0, label = 1;
  bool header = false;
};

inline csv_columns columns_of(const csv_record& first, const csv_options& options, const std::string& list) {
  const auto find = [&](const std::string& given, std::initializer_list<std::string_view> usual) {
    for (std::size_t k = 0; k < first.fields.size(); ++k) {
      const std::string key = name_key(first.fields[k]);
      if (given.empty() ? std::ranges::find(usual, key) != usual.end() : key == name_key(given)) return k;
    }
    return first.fields.size();
  };
  const std::size_t none = first.fields.size();
  const std::size_t path = find(options.path_column, {"path", "file", "filename", "file_name", "filepath", "file_path",
                                                      "image", "image_path", "image_name", "img", "img_path"});
  const std::size_t label =
      find(options.label_column, {"label", "labels", "class", "class_name", "classname", "category", "target", "y"});
  const bool named = !options.path_column.empty() || !options.label_column.empty();
  if (path != none && label != none) return {path, label, true};
  if (!named && path == none) return {};
  std::string header;
  for (const std::string& field : first.fields) header += (header.empty() ? "" : ", ") + field;
  const char* what = path == none ? "paths" : "labels";
  throw format_error(list + ":" + std::to_string(first.line) + ": expected a header with a column of " + what + " (" +
                     (path == none ? "path, file_name, image" : "label, class, target") + "), got the columns " +
                     header + "; name the columns of the list");
}

/// The file that a field names, from the list's folder; with slashes where backslashes lead to nothing.
inline std::filesystem::path listed_file(const std::filesystem::path& list, std::string field) {
  std::error_code none;
  std::filesystem::path path = list.parent_path() / field;
  if (field.find('\\') == std::string::npos || std::filesystem::is_regular_file(path, none)) return path;
  std::ranges::replace(field, '\\', '/');
  return list.parent_path() / field;
}

/// Numbers of labels by their text: each class's name and, where no name says otherwise, its number.
inline std::unordered_map<std::string, std::size_t> label_numbers(const std::vector<std::string>& classes,
                                                                  bool by_number) {
  std::unordered_map<std::string, std::size_t> numbers;
  for (std::size_t c = 0; c < classes.size(); ++c) numbers.emplace(classes[c], c);
  for (std::size_t c = 0; by_number && c < classes.size(); ++c) numbers.emplace(std::to_string(c), c);
  return numbers;
}

}  // namespace detail

BIT_FUNC dataset_ptr open_csv(const std::filesystem::path& list, const csv_options& options) {
  const std::vector<std::string>& classes = options.classes;
  const std::string text = detail::utf8_text(detail::read_text(list), options.encoding, list.string());
  const char separator = options.separator != 0 ? options.separator : detail::separator_of(text);
  auto records = detail::parse_csv(text, list.string(), separator);
  detail::csv_columns columns;
  if (!records.empty()) columns = detail::columns_of(records[0], options, list.string());
  if (columns.header) records.erase(records.begin());
  if (records.empty()) throw format_error(list.string() + ": expected lines with a path and a label, found none");
  const auto fail = [&](const detail::csv_record& record, const std::string& what) {
    throw format_error(list.string() + ":" + std::to_string(record.line) + ": " + what);
  };
  std::vector<std::string> names = classes;
  std::vector<std::filesystem::path> paths;
  for (const auto& record : records) {
    if (record.fields.size() <= std::max(columns.path, columns.label))
      fail(record, "expected a path and a label with a separator between them (comma, semicolon, tab or bar), got '" +
                       record.fields[0] + "'");
    if (record.fields[columns.label].empty()) fail(record, "expected a label after the path, got an empty one");
    paths.push_back(detail::listed_file(list, record.fields[columns.path]));
    std::error_code none;
    if (!std::filesystem::is_regular_file(paths.back(), none))
      fail(record,
           "expected an image file at " + paths.back().string() + ", there is none" +
               (&record == &records[0] && !columns.header ? "; if this line is a header, name its columns" : ""));
    if (classes.empty()) names.push_back(record.fields[columns.label]);
  }
  if (classes.empty()) {
    std::ranges::sort(names, natural_less);
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }
  const auto numbers = detail::label_numbers(names, !classes.empty());
  std::vector<std::size_t> labels;
  for (const auto& record : records) {
    const auto found = numbers.find(record.fields[columns.label]);
    if (found == numbers.end())
      fail(record, "expected one of the " + std::to_string(names.size()) + " class names or a number below " +
                       std::to_string(names.size()) + ", got '" + record.fields[columns.label] + "'");
    labels.push_back(found->second);
  }
  return std::make_shared<file_dataset>(std::move(paths), std::move(labels), std::move(names), options.decode,
                                        options.fallback);
}

}  // namespace bit::inline BIT_ABI::data
