// SPDX-License-Identifier: Apache-2.0
// Bodies of data/image.hpp: recognise the format, decode, turn upright; read whole files.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <bit/data/codec/codec.hpp>
#include <bit/data/codec/exif.hpp>
#include <bit/data/image.hpp>

namespace bit::inline BIT_ABI::data {

BIT_FUNC bool can_decode(image_format format) {
  constexpr bool linked[] = {BIT_HAS_JPEG != 0, BIT_HAS_PNG != 0, true, BIT_HAS_WEBP != 0};
  return linked[static_cast<std::size_t>(format)];
}

namespace detail {

/// The format by its first bytes; otherwise throws a format_error that says what the bytes look like.
inline image_format recognise(const encoded_image& input) {
  using namespace std::string_view_literals;
  const std::string_view head(reinterpret_cast<const char*>(input.data()),
                              std::min<std::size_t>(input.bytes.size(), 16));
  if (head.starts_with("\xff\xd8\xff"sv)) return image_format::jpeg;
  if (head.starts_with("\x89PNG\r\n\x1a\n"sv)) return image_format::png;
  if (head.starts_with("BM"sv)) return image_format::bmp;
  if (head.starts_with("RIFF"sv) && head.size() >= 12 && head.substr(8, 4) == "WEBP"sv) return image_format::webp;
  struct lookalike {
    std::size_t at;
    std::string_view magic;
    const char* what;
  };
  constexpr lookalike lookalikes[] = {
      {0, "GIF8"sv, "this is a GIF"},
      {0, "II*\0"sv, "this is a TIFF"},
      {0, "MM\0*"sv, "this is a TIFF"},
      {4, "ftyp"sv, "this is an AVIF, HEIF or MP4 file"},
      {0, "<"sv, "this is an HTML or XML page, perhaps an error page"},
      {0, "version https://"sv, "this is a Git LFS pointer, not the file itself"},
  };
  const char* seen = head.empty() ? "the file is empty" : "the first bytes are none of these";
  for (const lookalike& other : lookalikes)
    if (head.size() > other.at && head.substr(other.at).starts_with(other.magic)) seen = other.what;
  throw format_error("[image] " + input.name + ": expected a JPEG, PNG, BMP or WebP image, but " + seen);
}

/// A whole file, if its first bytes are those of an image: devices and large files of other kinds are refused early.
inline std::vector<std::byte> read_file(const std::filesystem::path& path, const decode_options& options) {
  const std::string name = path.string();
  const auto check = [&](bool holds) {
    if (holds) return;
    const int code = errno;
    throw io_error("[image] cannot read " + name + ": " + std::strerror(code), code);
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  check(file != nullptr);
  // Read in growing steps, so that a FIFO or a file that changes size is no special case.
  std::vector<std::byte> bytes;
  for (std::size_t size = 0, step = std::size_t{1} << 16;; step = std::max(step, size)) {
    bytes.resize(size + step);
    const std::size_t got = std::fread(bytes.data() + size, 1, step, file.get());
    if (got < step) check(std::ferror(file.get()) == 0);
    if (size == 0) recognise({{bytes.data(), got}, name, options});
    size += got;
    if (got == step) continue;
    bytes.resize(size);
    return bytes;
  }
}

}  // namespace detail

BIT_FUNC rgb_image decode(std::span<const std::byte> bytes, const decode_options& options, const std::string& name) {
  const detail::encoded_image input{bytes, name, options};
  image_info info;
  rgb_image image;
  switch (detail::recognise(input)) {
    case image_format::jpeg:
      image = detail::decode_jpeg(input, info);
      break;
    case image_format::png:
      image = detail::decode_png(input, info);
      break;
    case image_format::bmp:
      image = detail::decode_bmp(input, info);
      break;
    case image_format::webp:
      image = detail::decode_webp(input, info);
      break;
  }
  return options.apply_orientation ? detail::apply_orientation(std::move(image), info.orientation) : image;
}

BIT_FUNC image_info probe(std::span<const std::byte> bytes, const decode_options& options, const std::string& name) {
  const detail::encoded_image input{bytes, name, options};
  switch (detail::recognise(input)) {
    case image_format::jpeg:
      return detail::probe_jpeg(input);
    case image_format::png:
      return detail::probe_png(input);
    case image_format::bmp:
      return detail::probe_bmp(input);
    default:
      return detail::probe_webp(input);
  }
}

BIT_FUNC rgb_image read_image(const std::filesystem::path& path, const decode_options& options) {
  return decode(detail::read_file(path, options), options, path.string());
}

BIT_FUNC image_info read_image_info(const std::filesystem::path& path, const decode_options& options) {
  return probe(detail::read_file(path, options), options, path.string());
}

}  // namespace bit::inline BIT_ABI::data
