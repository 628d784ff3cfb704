// Bodies of io/zip.hpp: the members' data. The directory is read in zip_directory.ipp.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include <bit/error.hpp>
#include <bit/io/zip.hpp>
#include <bit/io/zip_directory.ipp>

#if BIT_HAS_ZLIB
#include <zlib.h>
#endif

namespace bit::inline v0::detail {

#if BIT_HAS_ZLIB

BIT_FUNC std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t seed) {
  uLong crc = seed;
  while (!bytes.empty()) {
    const std::size_t part = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
    crc = ::crc32(crc, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(part));
    bytes = bytes.subspan(part);
  }
  return static_cast<std::uint32_t>(crc);
}

struct zip_reader::inflater {
  z_stream stream{};
  bool ended = false;
  inflater() {
    if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~inflater() { ::inflateEnd(&stream); }
};

BIT_FUNC zip_reader::zip_reader(const input_file& file, const zip_entry& entry) : file_(file), entry_(entry) {
  if (!entry.deflated) return;
  inflater_ = std::make_unique<inflater>();
  input_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(entry.compressed_size, 64 * 1024)));
}

BIT_FUNC zip_reader::~zip_reader() = default;

BIT_FUNC void zip_reader::fail(const std::string& what) const {
  throw format_error("[npz] " + file_.name() + ": " + entry_.name + ": " + what +
                     "; the file is damaged, fetch it again");
}

BIT_FUNC bool zip_reader::refill() {
  const std::uint64_t left = entry_.compressed_size - consumed_;
  const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left, input_.size()));
  if (part == 0) return false;
  file_.read(entry_.data_offset + consumed_, std::span(input_).first(part));
  consumed_ += part;
  inflater_->stream.next_in = reinterpret_cast<Bytef*>(input_.data());
  inflater_->stream.avail_in = static_cast<uInt>(part);
  return true;
}

BIT_FUNC void zip_reader::read(std::span<std::byte> out) {
  if (out.size() > entry_.size - produced_) fail("holds less data than its header says");
  if (!inflater_) {
    file_.read(entry_.data_offset + produced_, out);
  } else {
    z_stream& stream = inflater_->stream;
    for (std::span<std::byte> rest = out; !rest.empty();) {
      if (stream.avail_in == 0 && !inflater_->ended) refill();
      const auto room = static_cast<uInt>(std::min<std::size_t>(rest.size(), std::size_t{1} << 30));
      stream.next_out = reinterpret_cast<Bytef*>(rest.data());
      stream.avail_out = room;
      const int status = inflater_->ended ? Z_BUF_ERROR : ::inflate(&stream, Z_NO_FLUSH);
      if (status == Z_STREAM_END) inflater_->ended = true;
      if (status != Z_OK && status != Z_STREAM_END) fail("the deflated data is broken or ends early");
      rest = rest.subspan(room - stream.avail_out);
    }
  }
  crc_ = crc32_of(out, crc_);
  produced_ += out.size();
}

BIT_FUNC void zip_reader::finish() {
  if (produced_ != entry_.size) fail("holds more data than its array needs");
  if (inflater_) {
    z_stream& stream = inflater_->stream;
    std::byte extra{};
    while (!inflater_->ended) {
      if (stream.avail_in == 0 && !refill()) fail("the deflated data ends early");
      stream.next_out = reinterpret_cast<Bytef*>(&extra);
      stream.avail_out = 1;
      const int status = ::inflate(&stream, Z_NO_FLUSH);
      if (stream.avail_out == 0) fail("inflates to more than the " + std::to_string(entry_.size) + " bytes declared");
      if (status == Z_STREAM_END) inflater_->ended = true;
      if (status != Z_OK && status != Z_STREAM_END) fail("the deflated data is broken");
    }
    if (stream.avail_in != 0 || consumed_ != entry_.compressed_size) fail("has bytes after its deflated data");
  }
  if (crc_ != entry_.crc) fail("its CRC-32 differs from the one recorded");
}

#else

[[noreturn]] inline void no_zlib() {
  throw config_error("[npz] this build of bit has no zlib, which npz files need; build with zlib or use safetensors");
}
struct zip_reader::inflater {};
BIT_FUNC std::uint32_t crc32_of(std::span<const std::byte>, std::uint32_t) { no_zlib(); }
BIT_FUNC zip_reader::zip_reader(const input_file& file, const zip_entry& entry) : file_(file), entry_(entry) {
  no_zlib();
}
BIT_FUNC zip_reader::~zip_reader() = default;
BIT_FUNC void zip_reader::fail(const std::string&) const { no_zlib(); }
BIT_FUNC bool zip_reader::refill() { no_zlib(); }
BIT_FUNC void zip_reader::read(std::span<std::byte>) { no_zlib(); }
BIT_FUNC void zip_reader::finish() { no_zlib(); }

#endif

}  // namespace bit::inline v0::detail
