// SPDX-License-Identifier: Apache-2.0
// Bodies of data/csv.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <utility>

#include <bit/data/csv.hpp>
#include <bit/data/folder.ipp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::data {
namespace detail {

BIT_FUNC std::vector<csv_record> parse_csv(std::string_view text, const std::string& name) {
  std::vector<csv_record> records;
  std::size_t line = 1, i = 0;
  if (text.starts_with("\xef\xbb\xbf")) i = 3;
  while (i < text.size()) {
    csv_record record{line, {""}};
    bool ended = false;
    while (i < text.size() && !ended) {
      std::string& field = record.fields.back();
      const char c = text[i++];
      if (c == '"' && field.empty()) {
        for (; i < text.size(); ++i) {
          if (text[i] == '"' && (i + 1 == text.size() || text[i + 1] != '"')) break;
          if (text[i] == '"') ++i;  // two quotes stand for one
          if (text[i] == '\n') ++line;
          field += text[i];
        }
        if (i++ >= text.size())
          throw format_error(name + ":" + std::to_string(record.line) + ": a quote is not closed");
      } else if (c == ',') {
        record.fields.emplace_back();
      } else if (c == '\n') {
        ++line;
        ended = true;
      } else if (c != '\r' || (i < text.size() && text[i] != '\n')) {
        field += c;
      }
    }
    if (record.fields.size() > 1 || !record.fields[0].empty()) records.push_back(std::move(record));
  }
  return records;
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

/// The columns of paths and labels if this record names them.
inline std::optional<std::array<std::size_t, 2>> csv_columns(const csv_record& record) {
  const auto find = [&](std::initializer_list<std::string_view> names) {
    for (std::size_t k = 0; k < record.fields.size(); ++k) {
      std::string field = record.fields[k];
      std::ranges::transform(field, field.begin(), lower);
      if (std::ranges::find(names, field) != names.end()) return k;
    }
    return record.fields.size();
  };
  const std::size_t path = find({"path", "file", "filename", "image"}), label = find({"label", "class"});
  if (path == record.fields.size() || label == record.fields.size()) return std::nullopt;
  return std::array{path, label};
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

BIT_FUNC dataset_ptr open_csv(const std::filesystem::path& list, const std::vector<std::string>& classes,
                              const decode_options& decode) {
  auto records = detail::parse_csv(detail::read_text(list), list.string());
  std::array<std::size_t, 2> columns{0, 1};
  if (!records.empty()) {
    if (const auto named = detail::csv_columns(records[0])) {
      columns = *named;
      records.erase(records.begin());
    }
  }
  if (records.empty()) throw format_error(list.string() + ": expected lines with a path and a label, found none");
  const auto fail = [&](const detail::csv_record& record, const std::string& what) {
    throw format_error(list.string() + ":" + std::to_string(record.line) + ": " + what);
  };
  std::vector<std::string> names = classes;
  std::vector<std::filesystem::path> paths;
  for (const auto& record : records) {
    if (record.fields.size() <= std::max(columns[0], columns[1]))
      fail(record, "expected a path and a label separated by a comma, got '" + record.fields[0] + "'");
    if (record.fields[columns[1]].empty()) fail(record, "expected a label after the path, got an empty one");
    paths.push_back(list.parent_path() / record.fields[columns[0]]);
    std::error_code none;
    if (!std::filesystem::is_regular_file(paths.back(), none))
      fail(record, "expected an image file at " + paths.back().string() + ", there is none");
    if (classes.empty()) names.push_back(record.fields[columns[1]]);
  }
  if (classes.empty()) {
    std::ranges::sort(names, natural_less);
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }
  const auto numbers = detail::label_numbers(names, !classes.empty());
  std::vector<std::size_t> labels;
  for (const auto& record : records) {
    const auto found = numbers.find(record.fields[columns[1]]);
    if (found == numbers.end())
      fail(record, "expected one of the " + std::to_string(names.size()) + " class names or a number below " +
                       std::to_string(names.size()) + ", got '" + record.fields[columns[1]] + "'");
    labels.push_back(found->second);
  }
  return std::make_shared<file_dataset>(std::move(paths), std::move(labels), std::move(names), decode);
}

}  // namespace bit::inline BIT_ABI::data
