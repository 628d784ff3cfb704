// SPDX-License-Identifier: Apache-2.0
// Windows bitmaps: 1, 4, 8, 16, 24 and 32 bits, colour masks, bottom-up and top-down. Run-length coding is refused.
// Field names and offsets: BITMAPCOREHEADER and BITMAPINFOHEADER .. BITMAPV5HEADER of the Windows documentation.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <vector>

#include <bit/data/codec/codec.hpp>

namespace bit::inline BIT_ABI::data::detail {

struct bmp_header {
  image_info info{image_format::bmp};
  bool top_down = false;
  std::size_t bits = 0;                  // per pixel
  std::size_t stride = 0;                // bytes per row, a multiple of 4
  std::size_t pixels = 0;                // offset of the first row
  std::array<std::uint32_t, 3> masks{};  // red, green, blue of 16- and 32-bit pixels
  std::vector<std::array<std::uint8_t, 3>> palette;
};

inline std::uint32_t bmp_number(const unsigned char* p, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | p[i];
  return value;
}

/// Checks everything that the rows rely on, the file's length included.
inline bmp_header bmp_read_header(const encoded_image& input) {
  const unsigned char* data = input.data();
  const std::size_t size = input.bytes.size();
  const auto require = [&](bool holds, const std::string& what) {
    if (!holds) input.fail(image_format::bmp, what);
  };
  require(size >= 26, "is truncated inside its header");
  const std::size_t length = bmp_number(data + 14, 4);
  const bool core = length == 12;
  require(core || (length >= 40 && length <= 124),
          "header has an unknown length of " + std::to_string(length) + " bytes");
  require(size >= 14 + length, "is truncated inside its header");

  bmp_header header;
  const auto width = core ? bmp_number(data + 18, 2) : bmp_number(data + 18, 4);
  const auto height = core ? bmp_number(data + 20, 2) : bmp_number(data + 22, 4);
  header.top_down = !core && height >> 31 != 0;
  require(core || width >> 31 == 0, "header has a negative width");
  header.info.width = width;
  header.info.height = header.top_down ? std::size_t{0u - height} : height;
  header.bits = bmp_number(data + (core ? 24 : 28), 2);
  const std::uint32_t compression = core ? 0 : bmp_number(data + 30, 4);
  const std::size_t bits = header.bits;
  require(bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32,
          "has " + std::to_string(bits) + " bits per pixel: expected 1, 4, 8, 16, 24 or 32");
  require(compression != 1 && compression != 2, "is run-length coded, which is not supported: save it uncompressed");
  const bool masked = compression == 3 || compression == 6;
  require(
      compression == 0 || (masked && (bits == 16 || bits == 32)),
      "has compression " + std::to_string(compression) + ": expected 0 (none), or 3 (colour masks) with 16 or 32 bits");
  input.check_size(header.info, 8);

  // Colour masks follow the 40-byte header or are its next fields: the same place.
  if (bits == 16) header.masks = {0x7c00, 0x03e0, 0x001f};
  if (bits == 32) header.masks = {0xff0000, 0x00ff00, 0x0000ff};
  if (masked) {
    require(size >= 14 + 40 + 12, "is truncated inside its header");
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint32_t mask = header.masks[c] = bmp_number(data + 54 + 4 * c, 4);
      require(mask != 0 && std::has_single_bit((mask >> std::countr_zero(mask)) + std::uint64_t{1}),
              "has a colour mask that is not one run of bits");
    }
  }
  const std::size_t entry = core ? 3 : 4, used = bits > 8 || core ? 0 : bmp_number(data + 46, 4);
  const std::size_t colours = bits > 8 ? 0 : used == 0 ? std::size_t{1} << bits : used;
  const std::size_t palette = 14 + length;
  header.pixels = bmp_number(data + 10, 4);
  // Some writers give the palette's place as that of the pixels, or none: they follow the palette then, as in Pillow.
  if (header.pixels == 0 || (header.pixels == palette && bits <= 8))
    header.pixels = palette + entry * colours + (masked && length == 40 ? 12 : 0);
  header.stride = (header.info.width * bits + 31) / 32 * 4;
  // The bytes that fill up the last row to a multiple of 4 may be missing.
  const std::size_t last_row = (header.info.width * bits + 7) / 8;
  require(header.pixels <= size && last_row <= size - header.pixels &&
              header.info.height - 1 <= (size - header.pixels - last_row) / header.stride,
          "is truncated inside its pixels");
  if (bits > 8) return header;
  const std::size_t known = std::min(colours, std::size_t{1} << bits);
  require(known <= (size - palette) / entry, "is truncated inside its palette");
  for (std::size_t i = 0; i < known; ++i) {
    const unsigned char* bgr = data + palette + entry * i;
    header.palette.push_back({bgr[2], bgr[1], bgr[0]});
  }
  return header;
}

BIT_FUNC image_info probe_bmp(const encoded_image& input) { return bmp_read_header(input).info; }

BIT_FUNC rgb_image decode_bmp(const encoded_image& input, image_info& info) {
  const bmp_header header = bmp_read_header(input);
  info = header.info;
  rgb_image image = make_image(info);
  const std::size_t bits = header.bits;
  std::uint8_t* out = image.data();
  for (std::size_t y = 0; y < info.height; ++y) {
    const std::size_t stored = header.top_down ? y : info.height - 1 - y;
    const unsigned char* row = input.data() + header.pixels + header.stride * stored;
    for (std::size_t x = 0; x < info.width; ++x, out += 3) {
      if (bits == 24) {
        for (std::size_t c = 0; c < 3; ++c) out[c] = row[3 * x + 2 - c];
      } else if (bits > 8) {
        const std::uint32_t pixel = bmp_number(row + bits / 8 * x, bits / 8);
        for (std::size_t c = 0; c < 3; ++c) {
          const int shift = std::countr_zero(header.masks[c]);
          const std::uint64_t value = (pixel & header.masks[c]) >> shift, largest = header.masks[c] >> shift;
          out[c] = static_cast<std::uint8_t>(value * 255 / largest);  // rounds down, as Pillow
        }
      } else {
        const std::size_t shift = 8 - bits - x * bits % 8;
        const std::size_t index = static_cast<std::size_t>(row[x * bits / 8] >> shift) & ((std::size_t{1} << bits) - 1);
        // Colours that the palette lacks are black, as in Pillow.
        for (std::size_t c = 0; c < 3; ++c) out[c] = index < header.palette.size() ? header.palette[index][c] : 0;
      }
    }
  }
  return image;
}

}  // namespace bit::inline BIT_ABI::data::detail
