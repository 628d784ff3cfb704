// SPDX-License-Identifier: Apache-2.0
// What a disk may do to a checkpoint, by call: this header's pwrite, fsync and rename stand before the C library's in the
// test program that includes it (once). They count, and at a chosen call fail, write less, or kill the process.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>

namespace file_faults {

enum class fault { none, error, short_write, kill };

/// Calls of the three kinds are numbered from 0 in the order they come. Set before other threads write.
struct plan {
  fault what = fault::none;
  int at = 0;      ///< the call that is met; short_write meets every write
  int code = EIO;  ///< errno of fault::error
  int calls = 0;   ///< so far
  int writes = 0, syncs = 0, renames = 0;
};
inline plan current;

/// Whether the call now due must fail.
inline bool meets() {
  const bool here = current.calls++ == current.at;
  if (!here) return false;
  if (current.what == fault::kill) ::raise(SIGKILL);
  if (current.what != fault::error) return false;
  errno = current.code;
  return true;
}

}  // namespace file_faults

extern "C" {
ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  ++file_faults::current.writes;
  if (file_faults::meets()) return -1;
  if (file_faults::current.what == file_faults::fault::short_write && count > 1) count /= 2;
  return ::syscall(SYS_pwrite64, descriptor, bytes, count, offset);
}

int fsync(int descriptor) {
  ++file_faults::current.syncs;
  return file_faults::meets() ? -1 : static_cast<int>(::syscall(SYS_fsync, descriptor));
}

int rename(const char* from, const char* to) noexcept {
  ++file_faults::current.renames;
  return file_faults::meets() ? -1 : static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
}
