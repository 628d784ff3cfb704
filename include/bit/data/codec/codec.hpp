// SPDX-License-Identifier: Apache-2.0
// What the decoders share. Each decode_<format> checks sizes before it allocates and throws format_error naming the
// file; `info` receives what the header says. Third-party types stay inside the .ipp files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <bit/config.hpp>
#include <bit/data/decode_options.hpp>
#include <bit/data/types.hpp>
#include <bit/error.hpp>
#include <bit/tensor.hpp>

namespace bit::inline BIT_ABI::data::detail {

/// One encoded image, its name for messages and what the caller allows.
struct encoded_image {
  std::span<const std::byte> bytes;
  const std::string& name;
  const decode_options& options;

  const unsigned char* data() const { return reinterpret_cast<const unsigned char*>(bytes.data()); }

  [[noreturn]] void fail(image_format format, const std::string& what) const {
    throw format_error("[image] " + name + ": " + to_string(format) + " " + what);
  }

  /// Refuses empty and oversized images. `pixels_per_byte` bounds what the format's compression can reach, so that a
  /// header of a few bytes cannot ask for hundreds of megabytes.
  void check_size(const image_info& info, std::uint64_t pixels_per_byte) const {
    const std::uint64_t h = info.height, w = info.width;
    const std::string size = "of " + std::to_string(w) + " x " + std::to_string(h) + " pixels (width x height)";
    if (h == 0 || w == 0) fail(info.format, size + " is empty: expected at least 1 x 1");
    if (h > options.max_pixels / w)
      fail(info.format, size + " exceeds the limit of " + std::to_string(options.max_pixels) +
                            " pixels; if you trust the file, raise it: " + raised_limit(h * w));
    if (h * w / pixels_per_byte > bytes.size())
      fail(info.format, size + " cannot fit into " + std::to_string(bytes.size()) + " bytes: truncated or forged");
  }
};

/// Writes both texts, cut where they do not fit; for use within a C decoder, which an exception must not cross.
template <std::size_t size>
void set_message(char (&to)[size], std::string_view text, std::string_view more = {}) {
  const std::size_t length = text.copy(to, size - 1);
  to[length + more.copy(to + length, size - 1 - length)] = '\0';
}

/// An uninitialised image of the size in `info`.
inline rgb_image make_image(const image_info& info) {
  return rgb_image::from_shape({info.height, info.width, std::size_t{3}});
}

BIT_FUNC image_info probe_jpeg(const encoded_image& input);
BIT_FUNC image_info probe_png(const encoded_image& input);
BIT_FUNC image_info probe_bmp(const encoded_image& input);
BIT_FUNC image_info probe_webp(const encoded_image& input);

BIT_FUNC rgb_image decode_jpeg(const encoded_image& input, image_info& info);
BIT_FUNC rgb_image decode_png(const encoded_image& input, image_info& info);
BIT_FUNC rgb_image decode_bmp(const encoded_image& input, image_info& info);
BIT_FUNC rgb_image decode_webp(const encoded_image& input, image_info& info);

}  // namespace bit::inline BIT_ABI::data::detail

#if BIT_HEADER_ONLY
#include <bit/data/codec/bmp.ipp>
#include <bit/data/codec/jpeg.ipp>
#include <bit/data/codec/png.ipp>
#include <bit/data/codec/webp.ipp>
#endif
