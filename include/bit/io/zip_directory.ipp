// SPDX-License-Identifier: Apache-2.0
// Body of read_zip_directory (io/zip.hpp): end records, central directory, local headers, and their agreement.
#pragma once

#include <algorithm>
#include <cstring>
#include <set>

#include <bit/error.hpp>
#include <bit/io/zip.hpp>

namespace bit::inline BIT_ABI::detail {

/// A little-endian number at a place in a zip record; the caller has checked that it lies inside.
template <class T>
T zip_field(std::span<const std::byte> record, std::size_t at) {
  T value;
  std::memcpy(&value, record.data() + at, sizeof value);
  return value;
}

class zip_directory {
 public:
  explicit zip_directory(const input_file& file) : file_(file) {}

  std::vector<zip_entry> read() {
    find_end();
    std::vector<std::byte> directory(static_cast<std::size_t>(size_));
    file_.read(offset_, directory);
    std::vector<zip_entry> entries;
    std::set<std::string> names;
    for (std::span<const std::byte> rest = directory; !rest.empty();) {
      zip_entry entry = central_entry(rest);
      if (!names.insert(entry.name).second) fail("the name " + entry.name + " occurs twice");
      entries.push_back(std::move(entry));
    }
    if (entries.size() != count_)
      fail("its end record counts " + std::to_string(count_) + " members, its directory " +
           std::to_string(entries.size()));
    check_overlap(entries);
    return entries;
  }

 private:
  static constexpr std::uint32_t saturated32 = 0xffffffff;

  [[noreturn]] void fail(const std::string& what) const {
    throw format_error("[npz] " + file_.name() + ": " + what + "; the file is damaged or was not written as an npz");
  }

  /// Finds the end record, and with it size, place and length of the central directory.
  void find_end() {
    const auto tail_size = static_cast<std::size_t>(std::min<std::uint64_t>(file_.size(), 22 + 0xffff));
    std::vector<std::byte> tail(tail_size);
    file_.read(file_.size() - tail_size, tail);
    const std::span<const std::byte> bytes(tail);
    std::size_t at = tail_size < 22 ? 0 : tail_size - 22 + 1;
    bool found = false;
    while (!found && at-- > 0)
      found = std::memcmp(bytes.data() + at, "PK\5\6", 4) == 0 &&
              zip_field<std::uint16_t>(bytes, at + 20) == tail_size - at - 22;
    if (!found)
      fail("expected a zip archive with its end record as the last thing in the file, found none in " +
           std::to_string(file_.size()) + " bytes (an incomplete download, or bytes added at the end)");
    const auto record = bytes.subspan(at, 22);
    const std::uint64_t end = file_.size() - tail_size + at;
    count_ = zip_field<std::uint16_t>(record, 10);
    size_ = zip_field<std::uint32_t>(record, 12);
    offset_ = zip_field<std::uint32_t>(record, 16);
    if (zip_field<std::uint16_t>(record, 4) != 0 || zip_field<std::uint16_t>(record, 6) != 0 ||
        zip_field<std::uint16_t>(record, 8) != count_)
      fail("archives in several parts are not supported");
    const std::uint64_t directory_end = read_zip64_end(end);
    if (offset_ > directory_end || size_ != directory_end - offset_)
      fail("its central directory does not end where its end record begins");
  }

  /// Applies the ZIP64 end record if there is one; returns where the central directory must end.
  std::uint64_t read_zip64_end(std::uint64_t end) {
    std::byte locator[20];
    if (end < sizeof locator) return end;
    file_.read(end - sizeof locator, locator);
    if (std::memcmp(locator, "PK\6\7", 4) != 0) return end;
    const auto at = zip_field<std::uint64_t>(locator, 8);
    if (zip_field<std::uint32_t>(locator, 4) != 0 || zip_field<std::uint32_t>(locator, 16) != 1)
      fail("archives in several parts are not supported");
    const std::uint64_t locator_at = end - sizeof locator;
    if (locator_at < 56 || at > locator_at - 56) fail("its ZIP64 locator points outside the file");
    std::byte record[56];
    file_.read(at, record);
    if (std::memcmp(record, "PK\6\6", 4) != 0 || zip_field<std::uint64_t>(record, 4) != locator_at - at - 12)
      fail("its ZIP64 locator does not point to a ZIP64 end record just before it");
    const auto agree = [](std::uint64_t narrow, std::uint64_t limit, std::uint64_t wide) {
      return narrow == limit || narrow == wide;
    };
    const auto count = zip_field<std::uint64_t>(record, 32), size = zip_field<std::uint64_t>(record, 40),
               offset = zip_field<std::uint64_t>(record, 48);
    if (!agree(count_, 0xffff, count) || !agree(size_, saturated32, size) || !agree(offset_, saturated32, offset) ||
        zip_field<std::uint64_t>(record, 24) != count)
      fail("its ZIP64 end record and its end record disagree");
    count_ = count;
    size_ = size;
    offset_ = offset;
    return at;
  }

  /// Replaces the saturated ones of `fields`, in their order, by the numbers of the ZIP64 extra field.
  void apply_zip64(std::span<const std::byte> extra, std::initializer_list<std::uint64_t*> fields,
                   const std::string& name) const {
    std::span<const std::byte> zip64;
    while (!extra.empty()) {
      if (extra.size() < 4 || extra.size() - 4 < zip_field<std::uint16_t>(extra, 2))
        fail(name + ": an extra field runs past its header");
      const std::size_t length = zip_field<std::uint16_t>(extra, 2);
      if (zip_field<std::uint16_t>(extra, 0) == 1) zip64 = extra.subspan(4, length);
      extra = extra.subspan(4 + length);
    }
    for (std::uint64_t* field : fields) {
      if (*field != saturated32) continue;
      if (zip64.size() < 8) fail(name + ": its ZIP64 field is missing or too short");
      *field = zip_field<std::uint64_t>(zip64, 0);
      zip64 = zip64.subspan(8);
    }
  }

  std::string name_of(std::span<const std::byte> bytes) const {
    std::string name(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (name.empty() || !std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; }))
      fail("expected member names of plain ASCII characters, got one of " + std::to_string(name.size()) +
           " bytes with others");
    return name;
  }

  /// Reads one record of the central directory, moves `rest` past it, and checks its local header.
  zip_entry central_entry(std::span<const std::byte>& rest) const {
    if (rest.size() < 46 || std::memcmp(rest.data(), "PK\1\2", 4) != 0) fail("its central directory is broken");
    const std::size_t name_size = zip_field<std::uint16_t>(rest, 28), extra_size = zip_field<std::uint16_t>(rest, 30),
                      comment_size = zip_field<std::uint16_t>(rest, 32);
    if (rest.size() - 46 < name_size + extra_size + comment_size) fail("its central directory is broken");
    const auto flags = zip_field<std::uint16_t>(rest, 8), method = zip_field<std::uint16_t>(rest, 10);
    zip_entry entry;
    entry.name = name_of(rest.subspan(46, name_size));
    entry.crc = zip_field<std::uint32_t>(rest, 16);
    entry.compressed_size = zip_field<std::uint32_t>(rest, 20);
    entry.size = zip_field<std::uint32_t>(rest, 24);
    entry.header_offset = zip_field<std::uint32_t>(rest, 42);
    apply_zip64(rest.subspan(46 + name_size, extra_size), {&entry.size, &entry.compressed_size, &entry.header_offset},
                entry.name);
    if (flags & 1) fail(entry.name + ": encrypted members are not supported");
    if (method != 0 && method != 8)
      fail(entry.name + ": expected a stored or deflated member, got compression method " + std::to_string(method));
    entry.deflated = method == 8;
    if (!entry.deflated && entry.compressed_size != entry.size) fail(entry.name + ": stored, but its two sizes differ");
    // Deflate cannot do better than 1032:1 (zlib's technical details), so more is a bomb or a lie.
    if (entry.deflated && entry.size / 1032 > entry.compressed_size)
      fail(entry.name + ": declares " + std::to_string(entry.size) + " bytes in " +
           std::to_string(entry.compressed_size) + " deflated ones, more than deflate can hold");
    check_local_header(entry, flags, method);
    rest = rest.subspan(46 + name_size + extra_size + comment_size);
    return entry;
  }

  /// Reads the local header, which must say the same, and finds where the member's data begins.
  void check_local_header(zip_entry& entry, std::uint16_t flags, std::uint16_t method) const {
    std::byte fixed[30];
    if (offset_ < sizeof fixed || entry.header_offset > offset_ - sizeof fixed)
      fail(entry.name + ": its local header would lie outside the members' part of the file");
    file_.read(entry.header_offset, fixed);
    const std::size_t name_size = zip_field<std::uint16_t>(fixed, 26), extra_size = zip_field<std::uint16_t>(fixed, 28);
    if (std::memcmp(fixed, "PK\3\4", 4) != 0) fail(entry.name + ": expected a local header where the directory points");
    if (offset_ - sizeof fixed - entry.header_offset < name_size + extra_size)
      fail(entry.name + ": its local header runs into the central directory");
    std::vector<std::byte> variable(name_size + extra_size);
    file_.read(entry.header_offset + sizeof fixed, variable);
    const std::span<const std::byte> bytes(variable);
    std::uint64_t size = zip_field<std::uint32_t>(fixed, 22), compressed = zip_field<std::uint32_t>(fixed, 18);
    apply_zip64(bytes.subspan(name_size), {&size, &compressed}, entry.name);
    const auto crc = zip_field<std::uint32_t>(fixed, 14);
    // Bit 3: written to a stream, so the local header may leave numbers 0 and a data descriptor follows the data.
    const bool streamed = flags & 8;
    const auto agree = [&](std::uint64_t local, std::uint64_t central) {
      return local == central || (streamed && local == 0);
    };
    if (name_of(bytes.first(name_size)) != entry.name || zip_field<std::uint16_t>(fixed, 8) != method ||
        zip_field<std::uint16_t>(fixed, 6) != flags || !agree(crc, entry.crc) || !agree(size, entry.size) ||
        !agree(compressed, entry.compressed_size))
      fail(entry.name + ": its local header and the central directory disagree");
    entry.data_offset = entry.header_offset + sizeof fixed + name_size + extra_size;
    if (entry.compressed_size > offset_ - entry.data_offset)
      fail(entry.name + ": its " + std::to_string(entry.compressed_size) + " bytes run into the central directory");
  }

  void check_overlap(const std::vector<zip_entry>& entries) const {
    std::vector<const zip_entry*> order;
    for (const zip_entry& entry : entries) order.push_back(&entry);
    std::sort(order.begin(), order.end(),
              [](const auto* a, const auto* b) { return a->header_offset < b->header_offset; });
    for (std::size_t i = 1; i < order.size(); ++i)
      if (order[i]->header_offset < order[i - 1]->data_offset + order[i - 1]->compressed_size)
        fail(order[i - 1]->name + " and " + order[i]->name + " overlap");
  }

  const input_file& file_;
  std::uint64_t count_ = 0, size_ = 0, offset_ = 0;
};

BIT_FUNC std::vector<zip_entry> read_zip_directory(const input_file& file) { return zip_directory(file).read(); }

}  // namespace bit::inline BIT_ABI::detail
