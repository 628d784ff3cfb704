// SPDX-License-Identifier: Apache-2.0
// Bodies of train/metrics_log.hpp, for POSIX systems.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <bit/detail/finite.hpp>
#include <bit/detail/json.hpp>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/train/metrics_log.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC metrics_line::metrics_line(std::string_view event) : text_("{\"event\":" + detail::json_string(event)) {}

BIT_FUNC metrics_line& metrics_line::add(std::string_view key, std::string_view value) {
  text_ += ',' + detail::json_string(key) + ':' + detail::json_string(value);
  return *this;
}

BIT_FUNC metrics_line& metrics_line::add(std::string_view key, double value) {
  text_ += ',' + detail::json_string(key) + ':' +
           (detail::is_finite(value) ? detail::number_text(value, std::chars_format::general, 9) : "null");
  return *this;
}

BIT_FUNC metrics_line& metrics_line::add(std::string_view key, std::uint64_t value) {
  text_ += ',' + detail::json_string(key) + ':' + std::to_string(value);
  return *this;
}

BIT_FUNC metrics_log::metrics_log(const std::filesystem::path& path) : name_(path.string()) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    const int code = errno;
    throw io_error("[training] cannot open " + name_ + " for writing: " + std::strerror(code), code);
  }
  const off_t size = ::lseek(descriptor_, 0, SEEK_END);
  char last = '\n';
  if (size > 0 && ::pread(descriptor_, &last, 1, size - 1) == 1 && last != '\n') {
    try {
      append("\n");
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
  }
}

BIT_FUNC metrics_log::~metrics_log() { ::close(descriptor_); }

BIT_FUNC void metrics_log::append(const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(descriptor_, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int code = count == 0 ? ENOSPC : errno;
      throw io_error("[training] cannot write to " + name_ + ": " + std::strerror(code), code);
    }
    done += static_cast<std::size_t>(count);
  }
}

BIT_FUNC void metrics_log::write(const metrics_line& line) { append(line.text() + '\n'); }

}  // namespace bit::inline BIT_ABI::train
