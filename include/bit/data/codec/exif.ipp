// SPDX-License-Identifier: Apache-2.0
// Bodies of data/codec/exif.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <bit/data/codec/exif.hpp>

namespace bit::inline BIT_ABI::data::detail {

BIT_FUNC std::optional<int> exif_orientation(std::span<const unsigned char> block) {
  constexpr unsigned char prefix[] = {'E', 'x', 'i', 'f', 0, 0};
  while (block.size() >= 6 && std::equal(prefix, prefix + 6, block.data())) block = block.subspan(6);
  if (block.size() < 8 || block[0] != block[1] || (block[0] != 'I' && block[0] != 'M')) return std::nullopt;
  const bool little = block[0] == 'I';
  // Every call below stays inside the block: `at` is checked first.
  const auto number = [&](std::size_t at, std::size_t size) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | block[little ? at + size - 1 - i : at + i];
    return value;
  };
  if (number(2, 2) != 42) return std::nullopt;
  const std::size_t directory = number(4, 4);
  if (directory > block.size() - 2) return std::nullopt;
  const std::size_t fitting = (block.size() - 2 - directory) / 12;
  const std::size_t entries = std::min(number(directory, 2), fitting);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (number(entry, 2) != 0x0112) continue;
    const std::size_t type = number(entry + 2, 2);
    const std::size_t size = type == 6 ? 1 : type == 3 || type == 8 ? 2 : type == 4 || type == 9 ? 4 : 0;
    return size == 0 ? 0 : static_cast<int>(std::min<std::size_t>(number(entry + 8, size), 255));
  }
  return std::nullopt;
}

BIT_FUNC std::optional<int> xmp_orientation(std::string_view packet) {
  constexpr std::string_view name = "tiff:Orientation";
  for (std::size_t at = packet.find(name); at != packet.npos; at = packet.find(name, at + 1)) {
    std::string_view rest = packet.substr(at + name.size());
    if (rest.starts_with("=\""))
      rest.remove_prefix(2);
    else if (rest.starts_with(">"))
      rest.remove_prefix(1);
    else
      continue;  // a closing tag
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return std::nullopt;
}

BIT_FUNC int orientation_of(std::span<const unsigned char> exif, std::string_view xmp) {
  std::optional<int> found = exif_orientation(exif);
  if (!found) found = xmp_orientation(xmp);
  return found && *found >= 1 && *found <= 8 ? *found : 1;
}

BIT_FUNC rgb_image apply_orientation(rgb_image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const std::size_t h = image.shape(0), w = image.shape(1);
  const bool transposed = orientation >= 5;
  const std::size_t out_h = transposed ? w : h, out_w = transposed ? h : w;
  // Which stored row and column an upright pixel comes from.
  const bool flip_rows = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool flip_columns = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  rgb_image upright = rgb_image::from_shape({out_h, out_w, std::size_t{3}});
  const std::uint8_t* from = image.data();
  std::uint8_t* to = upright.data();
  const bool flip_y = transposed ? flip_columns : flip_rows, flip_x = transposed ? flip_rows : flip_columns;
  for (std::size_t y = 0; y < out_h; ++y) {
    for (std::size_t x = 0; x < out_w; ++x, to += 3) {
      const std::size_t across = flip_x ? out_w - 1 - x : x, down = flip_y ? out_h - 1 - y : y;
      const std::uint8_t* pixel = from + 3 * (transposed ? across * w + down : down * w + across);
      std::copy_n(pixel, 3, to);
    }
  }
  return upright;
}

}  // namespace bit::inline BIT_ABI::data::detail
