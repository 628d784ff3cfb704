// SPDX-License-Identifier: Apache-2.0
// Lists of labelled images: text files with a path and a label per line.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <bit/config.hpp>
#include <bit/data/dataset.hpp>

namespace bit::inline BIT_ABI::data {

/// Reads a CSV list (RFC 4180: commas, double quotes where needed, UTF-8, perhaps with a byte-order mark). If the first
/// line has a column path, file, filename or image and a column label or class, these are taken; otherwise the first two
/// columns. Paths are relative to the list's folder. Labels are class names, numbered in natural order, or as `classes`
/// lists them; where `classes` is given, whole numbers below its size are labels, too. Empty lines are skipped.
/// Throws io_error if the list cannot be read, and format_error, with the line's number, for a line that lacks a
/// column, a file that is not there, a label that is not in `classes`, and a list without images.
BIT_FUNC dataset_ptr open_csv(const std::filesystem::path& list, const std::vector<std::string>& classes = {},
                              const decode_options& decode = {});

namespace detail {

/// The records of a CSV text, each with the number of the line that it starts in. Throws format_error if a quote is not
/// closed.
struct csv_record {
  std::size_t line = 0;
  std::vector<std::string> fields;
};
BIT_FUNC std::vector<csv_record> parse_csv(std::string_view text, const std::string& name);

}  // namespace detail
}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/csv.ipp>
#endif
