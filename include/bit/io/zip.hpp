// SPDX-License-Identifier: Apache-2.0
// Reading of zip archives as npz files use them: stored and deflated members, ZIP64 (PKWARE's APPNOTE.TXT 6.3.10).
// Strict: one archive per file, both headers of a member agree, members do not overlap, CRC-32 holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/io/file.hpp>

namespace bit::inline BIT_ABI::detail {

/// One member of an archive; every number has been checked against the file.
struct zip_entry {
  std::string name;
  bool deflated = false;
  std::uint32_t crc = 0;
  std::uint64_t compressed_size = 0, size = 0;
  std::uint64_t header_offset = 0, data_offset = 0;
};

/// All members in the order of the central directory. Throws format_error if any rule of the format is broken.
BIT_FUNC std::vector<zip_entry> read_zip_directory(const input_file& file);

/// Reads one member from front to back, inflating as it goes, with bounded memory.
class zip_reader {
 public:
  /// Throws config_error if the member is deflated and this build has no zlib.
  zip_reader(const input_file& file, const zip_entry& entry);
  ~zip_reader();
  zip_reader(const zip_reader&) = delete;
  zip_reader& operator=(const zip_reader&) = delete;

  /// Fills `out` with the next bytes. Throws format_error if the member's data ends early or is damaged.
  void read(std::span<std::byte> out);
  /// Call after the last byte: verifies that the data ends here and the CRC-32.
  void finish();

 private:
  struct inflater;
  [[noreturn]] void fail(const std::string& what) const;
  bool refill();

  const input_file& file_;
  const zip_entry& entry_;
  std::unique_ptr<inflater> inflater_;
  std::vector<std::byte> input_;
  std::uint64_t consumed_ = 0, produced_ = 0;
  std::uint32_t crc_ = 0;
};

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/io/zip.ipp>
#endif
