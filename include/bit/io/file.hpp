// SPDX-License-Identifier: Apache-2.0
// Files as the loaders need them: read at an offset or mapped, and written so that a crash leaves the old or the new
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::io {

/// How tensors leave a file.
enum class read_mode {
  map,   ///< by mmap, without a second copy. A file that another program shortens meanwhile is found out before each
         ///< read, except in the moment between check and access, when the system answers with SIGBUS
  copy,  ///< by pread into memory: slower, but safe on files that may change and on unreliable network mounts
};

}  // namespace bit::inline BIT_ABI::io

namespace bit::inline BIT_ABI::detail {

/// A regular file opened for reading. All members may be called by several threads at once.
class input_file {
 public:
  /// Throws io_error if the path cannot be opened or mapped or is not a regular file.
  input_file(const std::filesystem::path& path, io::read_mode mode);
  ~input_file();
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;

  /// The path, for messages.
  const std::string& name() const { return name_; }
  /// Bytes when the file was opened.
  std::uint64_t size() const { return size_; }
  /// Copies `out.size()` bytes from `offset`. Throws io_error if the file no longer has them.
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  /// The mapped bytes, or empty in copy mode. Throws io_error if the file has changed its size since it was opened.
  std::span<const std::byte> view(std::uint64_t offset, std::uint64_t count) const;
  /// Lets the mapped pages of a range leave memory.
  void release(std::uint64_t offset, std::uint64_t count) const noexcept;

 private:
  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  const std::byte* mapped_ = nullptr;
};

/// A file that appears whole or not at all: written beside its target, synced, then renamed over it.
/// If the target is a symbolic link, the file that it points to is replaced; an old file's mode and ACL are kept.
class output_file {
 public:
  /// Throws io_error if the temporary file cannot be made.
  explicit output_file(const std::filesystem::path& path);
  /// Removes the temporary file unless commit() was reached.
  ~output_file();
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;

  /// Bytes written so far by append().
  std::uint64_t position() const { return position_; }
  /// Writes at the end. Throws io_error, e.g. when the disk is full.
  void append(std::span<const std::byte> bytes);
  void append(const std::string& bytes);
  /// Overwrites bytes that are already there.
  void patch(std::uint64_t offset, const std::string& bytes);
  /// fsync, rename, fsync of the folder. Throws io_error; until the rename the old file is as it was.
  void commit();

 private:
  [[noreturn]] void fail(const char* action) const;
  void write_at(std::uint64_t offset, const std::byte* bytes, std::size_t count);

  std::filesystem::path target_, temporary_;
  int descriptor_ = -1;
  std::uint64_t position_ = 0;
};

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/io/file.ipp>
#endif
