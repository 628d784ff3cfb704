// SPDX-License-Identifier: Apache-2.0
// Bodies of io/zip.hpp: the members' data. The directory is read in zip_directory.ipp.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include <bit/detail/crc32.hpp>
#include <bit/error.hpp>
#include <bit/io/zip.hpp>
#include <bit/io/zip_directory.ipp>

#if BIT_HAS_ZLIB
#include <zlib.h>
#endif

namespace bit::inline BIT_ABI::detail {

#if BIT_HAS_ZLIB

struct zip_reader::inflater {
  z_stream stream{};
  bool ended = false;

  inflater() {
    if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~inflater() { ::inflateEnd(&stream); }

  bool hungry() const { return stream.avail_in == 0; }
  void feed(std::span<std::byte> input) {
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
  }
  /// Inflates into the front of `rest`, which shrinks. False if the data is broken or there is none.
  bool run(std::span<std::byte>& rest) {
    const auto room = static_cast<uInt>(std::min<std::size_t>(rest.size(), std::size_t{1} << 30));
    stream.next_out = reinterpret_cast<Bytef*>(rest.data());
    stream.avail_out = room;
    const int status = ended ? Z_BUF_ERROR : ::inflate(&stream, Z_NO_FLUSH);
    ended = ended || status == Z_STREAM_END;
    rest = rest.subspan(room - stream.avail_out);
    return status == Z_OK || status == Z_STREAM_END;
  }
};

#else

struct zip_reader::inflater {
  bool ended = false;

  inflater() {
    throw config_error(
        "[npz] this build of bit has no zlib, which deflated npz files need; build with zlib, store the "
        "arrays without compression (numpy.savez) or use safetensors");
  }
  bool hungry() const { return false; }
  void feed(std::span<std::byte>) {}
  bool run(std::span<std::byte>&) { return false; }
};

#endif

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
  inflater_->feed(std::span(input_).first(part));
  return true;
}

BIT_FUNC void zip_reader::read(std::span<std::byte> out) {
  if (out.size() > entry_.size - produced_) fail("holds less data than its header says");
  if (!inflater_) {
    file_.read(entry_.data_offset + produced_, out);
  } else {
    for (std::span<std::byte> rest = out; !rest.empty();) {
      if (inflater_->hungry() && !inflater_->ended) refill();
      if (!inflater_->run(rest)) fail("the deflated data is broken or ends early");
    }
  }
  crc_ = crc32_of(out, crc_);
  produced_ += out.size();
}

BIT_FUNC void zip_reader::finish() {
  if (produced_ != entry_.size) fail("holds more data than its array needs");
  if (inflater_) {
    while (!inflater_->ended) {
      if (inflater_->hungry() && !refill()) fail("the deflated data ends early");
      std::byte extra{};
      std::span<std::byte> room(&extra, 1);
      const bool sound = inflater_->run(room);
      if (room.empty()) fail("inflates to more than the " + std::to_string(entry_.size) + " bytes declared");
      if (!sound) fail("the deflated data is broken");
    }
    if (!inflater_->hungry() || consumed_ != entry_.compressed_size) fail("has bytes after its deflated data");
  }
  if (crc_ != entry_.crc) fail("its CRC-32 differs from the one recorded");
}

}  // namespace bit::inline BIT_ABI::detail
