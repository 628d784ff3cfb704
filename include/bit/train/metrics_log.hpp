// SPDX-License-Identifier: Apache-2.0
// A run's measurements as JSON lines: one object per line, each written by one call, so that a killed run leaves at most
// its last line unfinished.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::train {

/// One JSON object under construction: metrics_line("step").add("loss", 0.5).
class metrics_line {
 public:
  BIT_FUNC explicit metrics_line(std::string_view event);
  BIT_FUNC metrics_line& add(std::string_view key, std::string_view value);
  /// Nine digits, enough for any float; null for NaN and infinity, which JSON does not have.
  BIT_FUNC metrics_line& add(std::string_view key, double value);
  BIT_FUNC metrics_line& add(std::string_view key, std::uint64_t value);
  /// The object without a line's end.
  std::string text() const { return text_ + '}'; }

 private:
  std::string text_;
};

/// Appends to a file, which it makes if needed. If the file ends in the middle of a line, a new one is begun. One thread
/// at a time.
class metrics_log {
 public:
  /// Throws io_error if the file cannot be opened for writing.
  BIT_FUNC explicit metrics_log(const std::filesystem::path& path);
  metrics_log(const metrics_log&) = delete;
  metrics_log& operator=(const metrics_log&) = delete;
  BIT_FUNC ~metrics_log();

  /// Throws io_error, e.g. when the disk is full.
  BIT_FUNC void write(const metrics_line& line);

 private:
  BIT_FUNC void append(const std::string& text);
  std::string name_;
  int descriptor_ = -1;
};

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/metrics_log.ipp>
#endif
