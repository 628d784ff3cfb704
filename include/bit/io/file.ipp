// SPDX-License-Identifier: Apache-2.0
// Bodies of io/file.hpp, for POSIX systems.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include <bit/error.hpp>
#include <bit/io/file.hpp>

namespace bit::inline BIT_ABI::detail {

BIT_FUNC input_file::input_file(const std::filesystem::path& path, io::read_mode mode) : name_(path.string()) {
  const auto fail = [&](const char* action) {
    const int code = errno;
    if (descriptor_ >= 0) ::close(descriptor_);
    throw io_error("[io] cannot " + std::string(action) + " " + name_ + ": " + std::strerror(code), code);
  };
  // O_NONBLOCK: a named pipe must be refused below, not waited for.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail("open");
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail("examine");
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    if (S_ISDIR(status.st_mode))
      throw io_error("[io] " + name_ +
                         " is a folder; expected a checkpoint file (TFHub SavedModel folders are read by "
                         "the Python package: pybit convert)",
                     EISDIR);
    throw io_error("[io] " + name_ + " is not a regular file; expected a checkpoint file", EINVAL);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
  if (mode == io::read_mode::map && size_ > 0) {
    // Some network file systems cannot map files, and a limit of address space may forbid it: then values are read, as
    // with read_mode::copy.
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (address != MAP_FAILED) mapped_ = static_cast<const std::byte*>(address);
  }
}

BIT_FUNC input_file::~input_file() {
  if (mapped_) ::munmap(const_cast<std::byte*>(mapped_), size_);
  ::close(descriptor_);
}

BIT_FUNC void input_file::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), std::min<std::size_t>(out.size(), std::size_t{1} << 30),
                                static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int code = errno;
      throw io_error("[io] cannot read " + name_ + ": " + std::strerror(code), code);
    }
    if (got == 0)
      throw io_error("[io] " + name_ + " has become shorter than the " + std::to_string(size_) +
                         " bytes that it had when it was opened: reading at byte " + std::to_string(offset) +
                         " found its end",
                     EIO);
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

BIT_FUNC std::span<const std::byte> input_file::view(std::uint64_t offset, std::uint64_t count) const {
  if (!mapped_ || count == 0) return {};
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || static_cast<std::uint64_t>(status.st_size) != size_)
    throw io_error("[io] " + name_ + " was changed while it was in use: it had " + std::to_string(size_) +
                       " bytes when it was opened and has " + std::to_string(status.st_size) +
                       " now; write new checkpoints beside the old one and rename",
                   EIO);
  return {mapped_ + offset, static_cast<std::size_t>(count)};
}

BIT_FUNC void input_file::release(std::uint64_t offset, std::uint64_t count) const noexcept {
  if (!mapped_) return;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = (offset + page - 1) / page * page, end = (offset + count) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(mapped_) + begin, end - begin, MADV_DONTNEED);
}

/// Whether errno says that a file system lacks an operation, rather than that it failed: what FUSE, SMB, NFS, 9P and FAT
/// answer for what they do not have.
inline bool not_supported(int code) {
  return code == EPERM || code == EOPNOTSUPP || code == ENOSYS || code == EINVAL || code == ENOTTY || code == EBADF;
}

/// Gives the open file the mode of the file at `path` and its access list, if it has one: users who are named there could
/// otherwise read the old file and not the new one. What the file system does not have is left out, since there access
/// follows from how it is mounted. False, with errno, if it has them and does not allow it.
inline bool keep_access([[maybe_unused]] const char* path, int descriptor, mode_t mode) {
  if (::fchmod(descriptor, mode & 07777) != 0 && !not_supported(errno)) return false;
#ifdef __linux__
  constexpr const char* list = "system.posix_acl_access";
  const ssize_t size = ::getxattr(path, list, nullptr, 0);
  if (size <= 0) return true;  // there is none, or the file system has no such lists
  std::string value(static_cast<std::size_t>(size), '\0');
  return ::getxattr(path, list, value.data(), value.size()) == size &&
         (::fsetxattr(descriptor, list, value.data(), value.size(), 0) == 0 || not_supported(errno));
#else
  return true;
#endif
}

/// Whether errno says that a file may not be replaced, rather than that the disk failed.
inline bool not_replaceable(int code) {
  return code == EACCES || code == EBUSY || code == EEXIST || code == ETXTBSY || code == EPERM;
}

/// Renames `from` to `to`. Where a file that others hold open cannot be replaced (SMB, drives of another system), it is
/// moved aside first and put back if that does not help. False, with errno, if `from` stays where it is.
inline bool replace_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return true;
  if (!not_replaceable(errno)) return false;
  const std::string aside = from.string() + ".old";
  if (::rename(to.c_str(), aside.c_str()) != 0) return false;
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int code = errno;
    ::rename(aside.c_str(), to.c_str());
    errno = code;
    return false;
  }
  ::unlink(aside.c_str());  // may fail while it is open; it is a hidden file
  return true;
}

BIT_FUNC output_file::output_file(const std::filesystem::path& path) : target_(path) {
  std::error_code ignored;
  if (std::filesystem::is_symlink(path, ignored)) {
    auto real = std::filesystem::weakly_canonical(path, ignored);
    if (!ignored && !real.empty()) target_ = std::move(real);
  }
  // Temporary names must differ between writers of one target: O_EXCL decides, the number moves on.
  for (int attempt = 0; descriptor_ < 0 && (attempt == 0 || (errno == EEXIST && attempt < 1000)); ++attempt) {
    temporary_ = target_.parent_path() / (std::string(".") + target_.filename().string() + "." +
                                          std::to_string(::getpid()) + "." + std::to_string(attempt) + ".tmp");
    descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  if (descriptor_ < 0) fail("create");
  struct stat old {};
  if (::stat(target_.c_str(), &old) == 0 && !keep_access(target_.c_str(), descriptor_, old.st_mode)) {
    const int code = errno;
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
    errno = code;
    fail("set the mode and the access list of");
  }
}

BIT_FUNC output_file::~output_file() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

BIT_FUNC void output_file::fail(const char* action) const {
  const int code = errno;
  throw io_error("[io] cannot " + std::string(action) + " " + temporary_.string() + " (to become " + target_.string() +
                     "): " + std::strerror(code),
                 code);
}

BIT_FUNC void output_file::write_at(std::uint64_t offset, const std::byte* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t done =
        ::pwrite(descriptor_, bytes, std::min<std::size_t>(count, std::size_t{1} << 30), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done == 0) errno = ENOSPC;
    if (done <= 0) fail("write");
    bytes += done;
    count -= static_cast<std::size_t>(done);
    offset += static_cast<std::uint64_t>(done);
  }
}

BIT_FUNC void output_file::append(std::span<const std::byte> bytes) {
  write_at(position_, bytes.data(), bytes.size());
  position_ += bytes.size();
}

BIT_FUNC void output_file::append(const std::string& bytes) { append(std::as_bytes(std::span(bytes))); }

BIT_FUNC void output_file::patch(std::uint64_t offset, const std::string& bytes) {
  write_at(offset, reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
}

BIT_FUNC void output_file::commit() {
  if (::fsync(descriptor_) != 0 && !not_supported(errno)) fail("sync");
  if (!replace_file(temporary_, target_)) {
    if (!not_replaceable(errno)) fail("rename");
    const int code = errno;
    ::close(descriptor_);
    descriptor_ = -1;  // the bytes are whole and on the disk: they stay, under the temporary name
    throw io_error("[io] cannot replace " + target_.string() + ": " + std::strerror(code) +
                       "; what was to be written stands whole in " + temporary_.string() + ", rename it by hand",
                   code);
  }
  ::close(descriptor_);
  descriptor_ = -1;
  const auto folder = target_.parent_path().empty() ? std::filesystem::path(".") : target_.parent_path();
  const int opened = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;  // a folder that may be written but not listed: the rename stands, only its sync is left out
  const int result = ::fsync(opened), code = errno;
  ::close(opened);
  if (result != 0 && !not_supported(code))
    throw io_error("[io] cannot sync the folder " + folder.string() + ": " + std::strerror(code), code);
}

}  // namespace bit::inline BIT_ABI::detail
