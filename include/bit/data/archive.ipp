// SPDX-License-Identifier: Apache-2.0
// Bodies of data/archive.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include <bit/data/archive.hpp>
#include <bit/error.hpp>

#if BIT_HAS_ZLIB
#include <zlib.h>
#endif

namespace bit::inline BIT_ABI::data::detail {

inline constexpr std::uint64_t largest_member = std::uint64_t{1} << 30;

/// The bytes of a file, inflated if it is gzipped.
class archive_stream {
 public:
  explicit archive_stream(const std::filesystem::path& path);
  /// Fills `out` as far as the file reaches; returns the bytes read.
  std::size_t read(std::span<std::byte> out);

 private:
  std::string name_;
#if BIT_HAS_ZLIB
  struct closer {
    void operator()(gzFile_s* file) const { ::gzclose(file); }
  };
  std::unique_ptr<gzFile_s, closer> file_;
#else
  struct closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, closer> file_;
#endif
};

#if BIT_HAS_ZLIB

inline archive_stream::archive_stream(const std::filesystem::path& path)
    : name_(path.string()), file_(::gzopen(path.c_str(), "rb")) {
  const int code = errno;
  if (!file_) throw io_error("[data] cannot read " + name_ + ": " + std::strerror(code), code);
  ::gzbuffer(file_.get(), 1u << 18);
}

inline std::size_t archive_stream::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto wanted = static_cast<unsigned>(std::min<std::size_t>(out.size() - done, 1u << 26));
    const int got = ::gzread(file_.get(), out.data() + done, wanted);
    int status = Z_OK;
    const char* text = ::gzerror(file_.get(), &status);
    if (status == Z_ERRNO) throw io_error("[data] cannot read " + name_ + ": " + std::strerror(errno), errno);
    if (got < 0 || status != Z_OK)
      throw format_error(name_ + ": damaged or truncated gzip file (" + text + "); fetch it again");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

#else

inline archive_stream::archive_stream(const std::filesystem::path& path)
    : name_(path.string()), file_(std::fopen(path.c_str(), "rb")) {
  const int code = errno;
  if (!file_) throw io_error("[data] cannot read " + name_ + ": " + std::strerror(code), code);
  const int first = std::fgetc(file_.get()), second = std::fgetc(file_.get());
  if (first == 0x1f && second == 0x8b)
    throw config_error("[data] " + name_ +
                       " is gzipped and this build of bit has no zlib; build with zlib or unpack it");
  std::rewind(file_.get());
}

inline std::size_t archive_stream::read(std::span<std::byte> out) {
  const std::size_t done = std::fread(out.data(), 1, out.size(), file_.get());
  if (done < out.size() && std::ferror(file_.get()))
    throw io_error("[data] cannot read " + name_ + ": " + std::strerror(errno), errno);
  return done;
}

#endif

/// A tar header: 512 bytes (POSIX.1-1988 ustar).
struct tar_header {
  std::array<char, 512> bytes{};

  std::string_view text(std::size_t begin, std::size_t size) const {
    const std::string_view field(bytes.data() + begin, size);
    return field.substr(0, std::min(size, field.find('\0')));
  }
  /// An octal field, 2^63 or more if it is none.
  std::uint64_t number(std::size_t begin, std::size_t size) const {
    std::uint64_t value = 0;
    for (const char c : text(begin, size)) {
      if (c == ' ') continue;
      if (c < '0' || c > '7' || value >> 60 != 0) return ~std::uint64_t{0};
      value = value * 8 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
  }
  bool sums_up() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)  // the field of the sum counts as spaces
      sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(bytes[i]);
    return sum == number(148, 8);
  }
};

BIT_FUNC void read_tar(const std::filesystem::path& path,
                       const std::function<bool(const std::string& name, std::size_t size)>& visit,
                       const std::function<void(const std::string& name, std::vector<std::byte> bytes)>& take) {
  std::error_code none;
  if (std::filesystem::is_directory(path, none))
    throw io_error("[data] cannot read " + path.string() + ": it is a folder", EISDIR);
  archive_stream stream(path);
  const auto fail = [&](const std::string& what) { throw format_error(path.string() + ": " + what); };
  bool any = false;
  while (true) {
    tar_header header;
    const std::size_t got = stream.read(std::as_writable_bytes(std::span(header.bytes)));
    const bool blank = std::ranges::all_of(header.bytes, [](char c) { return c == 0; });
    if (got == 0 && any) fail("truncated tar archive: its end is missing; fetch it again");
    if (got == header.bytes.size() && blank) {
      // gzip's check of all content stands behind the padding.
      for (std::array<std::byte, 4096> rest; stream.read(rest) == rest.size();) continue;
      return;
    }
    if (got < header.bytes.size() || !header.sums_up())
      fail(any ? "damaged or truncated tar archive; fetch it again" : "expected a tar archive, perhaps gzipped");
    any = true;
    const std::uint64_t size = header.number(124, 12);
    if (size > largest_member) fail("expected members of at most 1 GiB, got " + std::to_string(size) + " bytes");
    const std::string_view prefix = header.text(345, 155);
    std::string name(header.text(0, 100));
    if (header.text(257, 5) == "ustar" && !prefix.empty()) name = std::string(prefix) + "/" + name;
    const char type = header.bytes[156];
    const bool wanted = (type == '0' || type == '\0') && visit(name, static_cast<std::size_t>(size));
    std::vector<std::byte> content;
    constexpr std::uint64_t block = 512, piece = std::uint64_t{1} << 20;
    for (std::uint64_t left = (size + block - 1) / block * block; left > 0;) {  // grows with what is really there
      const std::size_t count = static_cast<std::size_t>(std::min(left, piece)), begin = wanted ? content.size() : 0;
      content.resize(begin + count);
      if (stream.read(std::span(content).subspan(begin)) < count)
        fail("truncated tar archive: it ends within " + name + "; fetch it again");
      left -= count;
    }
    content.resize(static_cast<std::size_t>(wanted ? size : 0));
    if (wanted) take(name, std::move(content));
  }
}

}  // namespace bit::inline BIT_ABI::data::detail
