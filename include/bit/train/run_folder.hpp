// SPDX-License-Identifier: Apache-2.0
// The folder of a run: last.safetensors to continue from, best.safetensors to use, metrics.jsonl to plot.
#pragma once

#include <filesystem>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::train {

/// Holds a run's folder for one process at a time. Destroying it, or the process's end, frees the folder.
class run_folder {
 public:
  /// Makes the folder if it is not there, locks it, sees that files can be written, and removes what a killed run left
  /// of a file that it was writing. Throws io_error if the folder cannot be made or written, or if another process uses
  /// it. Where the file system knows no locks, two runs in one folder are not noticed.
  BIT_FUNC explicit run_folder(std::filesystem::path path);
  run_folder(const run_folder&) = delete;
  run_folder& operator=(const run_folder&) = delete;
  BIT_FUNC ~run_folder();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path last() const { return path_ / "last.safetensors"; }
  std::filesystem::path best() const { return path_ / "best.safetensors"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/run_folder.ipp>
#endif
