// SPDX-License-Identifier: Apache-2.0
// Bodies of io/npz.hpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include <bit/detail/crc32.hpp>
#include <bit/error.hpp>
#include <bit/io/npy.hpp>
#include <bit/io/npz.hpp>
#include <bit/io/zip.hpp>

namespace bit::inline BIT_ABI::detail {

/// An array inside an archive: the member's bytes after the npy header.
class npz_data final : public io::raw_data {
 public:
  npz_data(std::shared_ptr<const input_file> file, zip_entry entry, std::size_t header)
      : file_(std::move(file)), entry_(std::move(entry)), header_(header) {}

  void read(std::span<std::byte> out) const override {
    zip_reader reader(*file_, entry_);
    std::vector<std::byte> header(header_);
    reader.read(header);
    reader.read(out);
    reader.finish();
  }
  std::span<const std::byte> bytes() const override {
    if (entry_.deflated) return {};
    const auto member = file_->view(entry_.data_offset, entry_.size);
    if (member.empty()) return {};
    if (!verified_.load(std::memory_order_relaxed)) {
      if (crc32_of(member) != entry_.crc) fail_damaged();
      verified_.store(true, std::memory_order_relaxed);
    }
    return member.subspan(header_);
  }
  bool is_snapshot() const override { return true; }
  void release() const noexcept override {
    if (!entry_.deflated) file_->release(entry_.data_offset, entry_.size);
  }
  bool has_parts() const override { return !entry_.deflated; }
  std::uint32_t read_part(std::size_t first, std::span<std::byte> out) const override {
    file_->read(entry_.data_offset + header_ + first, out);
    return crc32_of(out);
  }
  void check_parts(std::span<const std::uint32_t> checksums, std::size_t part) const override {
    std::vector<std::byte> header(header_);
    file_->read(entry_.data_offset, header);
    std::uint32_t crc = crc32_of(header);
    std::uint64_t left = entry_.size - header_;
    for (const std::uint32_t checksum : checksums) {
      const std::uint64_t size = std::min<std::uint64_t>(left, part);
      crc = crc32_join(crc, checksum, size);
      left -= size;
    }
    if (crc != entry_.crc) fail_damaged();
  }

 private:
  [[noreturn]] void fail_damaged() const {
    throw format_error("[npz] " + file_->name() + ": " + entry_.name +
                       ": its CRC-32 differs from the one recorded; the file is damaged, fetch it again");
  }

  std::shared_ptr<const input_file> file_;
  zip_entry entry_;
  std::size_t header_;
  mutable std::atomic<bool> verified_{false};  // two threads may both verify: harmless
};

BIT_FUNC std::vector<io::raw_tensor> read_npz(const std::shared_ptr<const input_file>& file) {
  std::vector<io::raw_tensor> tensors;
  for (zip_entry& entry : read_zip_directory(*file)) {
    if (!entry.name.ends_with(".npy"))
      throw format_error(
          "[npz] " + file->name() + ": expected only members named *.npy, got " + entry.name +
          (entry.name.ends_with("data.pkl") ? " (a torch file: it is read by the Python package: pybit convert)" : ""));
    std::vector<std::byte> start(static_cast<std::size_t>(std::min<std::uint64_t>(entry.size, max_npy_header)));
    zip_reader(*file, entry).read(start);
    const std::string where = file->name() + ": " + entry.name;
    npy_header header = parse_npy_header(start, where);
    const std::uint64_t bytes = *io::byte_count(header.shape, header.type);
    if (bytes != entry.size - header.data_offset)
      throw format_error("[npz] " + where + ": expected " + std::to_string(bytes) + " bytes for shape " +
                         io::to_string(header.shape) + " of " + io::to_string(header.type) + ", got " +
                         std::to_string(entry.size - header.data_offset));
    io::raw_tensor tensor;
    tensor.name = entry.name.substr(0, entry.name.size() - 4);
    tensor.type = header.type;
    tensor.shape = std::move(header.shape);
    tensor.fortran_order = header.fortran_order;
    tensor.big_endian = header.big_endian;
    tensor.data = std::make_shared<npz_data>(file, std::move(entry), header.data_offset);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace bit::inline BIT_ABI::detail
