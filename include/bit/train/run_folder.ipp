// SPDX-License-Identifier: Apache-2.0
// Bodies of train/run_folder.hpp, for POSIX systems.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include <bit/error.hpp>
#include <bit/io/file.hpp>
#include <bit/train/run_folder.hpp>

namespace bit::inline BIT_ABI::train {

BIT_FUNC run_folder::run_folder(std::filesystem::path path) : path_(std::move(path)) {
  const auto fail = [&](const std::string& what, int code) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw io_error("[training] " + what, code);
  };
  std::error_code problem;
  std::filesystem::create_directories(path_, problem);
  if (problem) fail("cannot make the folder " + path_.string() + ": " + problem.message(), problem.value());
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) fail("cannot open the folder " + path_.string() + ": " + std::strerror(errno), errno);
  const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno == EWOULDBLOCK)
    fail("another process is training in " + path_.string() + "; wait for it, or choose another folder", EWOULDBLOCK);
  try {
    const detail::output_file probe(last());  // removed again, since it is not committed
  } catch (const io_error& e) {
    fail("cannot write to the folder " + path_.string() + " (" + e.what() + "); choose one that can be written",
         e.code);
  }
  if (!locked) return;
  for (const auto& entry : std::filesystem::directory_iterator(path_, problem)) {
    const std::string name = entry.path().filename().string();
    if ((name.starts_with(".last.safetensors.") || name.starts_with(".best.safetensors.")) && name.ends_with(".tmp"))
      std::filesystem::remove(entry.path(), problem);
  }
}

BIT_FUNC run_folder::~run_folder() { ::close(descriptor_); }

}  // namespace bit::inline BIT_ABI::train
