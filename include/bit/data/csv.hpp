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

/// How a list is to be read where it does not say so itself.
struct csv_options {
  std::vector<std::string> classes = {};  ///< names by label; empty: the list's own labels, in natural order
  std::string path_column = {};           ///< the header's name of the column of paths; empty: a usual name, see below
  std::string label_column = {};          ///< the same for labels
  char separator = 0;              ///< between fields; 0: the one of comma, semicolon, tab and bar in the first line
  std::string encoding = "utf-8";  ///< or "latin-1", "cp1252"; UTF-16 is known by its byte-order mark
  decode_options decode = {};
  image_fallback fallback = nullptr;  ///< reads files that decode() refuses
};

/// Reads a list of images and labels (RFC 4180: double quotes where needed; blanks around fields that are not quoted do not
/// count, nor do empty lines). If the first line names a column of paths (path, file, filename, file_name, filepath,
/// file_path, image, image_path, image_name, img, img_path) and one of labels (label, labels, class, class_name, classname,
/// category, target, y) in any case, these are taken; without such a header the first two columns. Paths are relative to
/// the list's folder and may have been written with backslashes. Labels are class names, or where `classes` is given also
/// whole numbers below its size.
/// Throws io_error if the list cannot be read, config_error for an unknown encoding, and format_error, with the line's
/// number, for a header that lacks a column, a line that lacks a field, text that is not in the encoding, a file that is not
/// there, a label that is not in `classes`, and a list without images.
BIT_FUNC dataset_ptr open_csv(const std::filesystem::path& list, const csv_options& options = {});

namespace detail {

/// A line's fields, and the number of the line that they start in.
struct csv_record {
  std::size_t line = 0;
  std::vector<std::string> fields;
};
/// The records of a list's text. Throws format_error if a quote is not closed.
BIT_FUNC std::vector<csv_record> parse_csv(std::string_view text, const std::string& name, char separator = ',');
/// The text in UTF-8, without a byte-order mark. Throws config_error for an unknown encoding, format_error with the line's
/// number for bytes that are not of the encoding.
BIT_FUNC std::string utf8_text(std::string_view bytes, const std::string& encoding, const std::string& name);

}  // namespace detail
}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/csv.ipp>
#endif
