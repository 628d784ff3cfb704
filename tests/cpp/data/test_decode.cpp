// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/data/codec/exif.hpp>
#include <bit/data/codec/png_orientation.hpp>
#include <bit/data/image.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pattern.hpp"

namespace {

using namespace bit::data;
using pixel_rule = std::function<int(std::size_t y, std::size_t x, std::size_t c)>;

/// Number of samples of a 9 x 13 image that differ from the rule.
std::size_t differences(const bit::rgb_image& image, const pixel_rule& rule) {
  REQUIRE(image.shape(0) == 9);
  REQUIRE(image.shape(1) == 13);
  std::size_t wrong = 0;
  for (std::size_t y = 0; y < 9; ++y)
    for (std::size_t x = 0; x < 13; ++x)
      for (std::size_t c = 0; c < 3; ++c) wrong += image(y, x, c) != rule(y, x, c);
  return wrong;
}

std::size_t index(std::size_t y, std::size_t x) { return (13 * y + x) % 4; }

constexpr int palette[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {9, 8, 7}};

}  // namespace

TEST_CASE("lossless files hold the pattern they were made from") {
  for (const char* name : {"rgb.png", "interlaced.png", "rgba.png", "rgb16.png", "rgb.bmp", "top_down32.bmp",
                           "lossless.webp", "alpha.webp"}) {
    CAPTURE(name);
    CHECK(differences(decode(fixture(name)), pattern) == 0);
  }
}

TEST_CASE("grey and palette files are expanded to RGB") {
  CHECK(differences(decode(fixture("grey1.png")), [](auto y, auto x, auto) { return index(y, x) % 2 * 255; }) == 0);
  CHECK(differences(decode(fixture("grey2.png")), [](auto y, auto x, auto) { return index(y, x) * 85; }) == 0);
  const auto rule = [](std::size_t y, std::size_t x, std::size_t c) { return palette[index(y, x)][c]; };
  CHECK(differences(decode(fixture("palette2.png")), rule) == 0);
  CHECK(differences(decode(fixture("palette4.bmp")), rule) == 0);
}

TEST_CASE("16-bit grey keeps its high byte") {
  CHECK(differences(decode(fixture("grey16.png")), [](auto y, auto x, auto) { return (13 * y + x) * 521 >> 8; }) == 0);
}

TEST_CASE("colour masks are scaled to 8 bits") {
  const auto rule = [](std::size_t y, std::size_t x, std::size_t c) {
    const int bits = c == 1 ? 6 : 5, value = pattern(y, x, c) >> (8 - bits);
    return value * 255 / ((1 << bits) - 1);
  };
  CHECK(differences(decode(fixture("masks565.bmp")), rule) == 0);
}

TEST_CASE("JPEG files decode to what Pillow decodes") {
  for (const char* name : {"baseline.jpg", "progressive.jpg", "subsampled.jpg", "grey.jpg", "cmyk.jpg", "ycck.jpg"}) {
    CAPTURE(name);
    const auto image = decode(fixture(name));
    const auto expected = decode(fixture(std::string(name) + ".bmp"));  // the first 20 rows and 30 columns
    std::size_t wrong = 0;
    for (std::size_t y = 0; y < 20; ++y)
      for (std::size_t x = 0; x < 30; ++x)
        for (std::size_t c = 0; c < 3; ++c) wrong += image(y, x, c) != expected(y, x, c);
    CHECK(wrong == 0);
  }
}

TEST_CASE("lossy WebP keeps a smooth picture within a few levels") {
  const auto image = decode(fixture("lossy.webp"));
  REQUIRE(image.shape(0) == 40);
  REQUIRE(image.shape(1) == 56);
  int largest = 0;
  for (std::size_t y = 0; y < 40; ++y)
    for (std::size_t x = 0; x < 56; ++x) {
      largest = std::max(largest, std::abs(image(y, x, 0) - static_cast<int>(4 * x)));
      largest = std::max(largest, std::abs(image(y, x, 1) - static_cast<int>(6 * y)));
    }
  // Quality 80 loses up to about 20 levels here; the negative control, swapped channels, is over 100 off.
  CHECK(largest < 40);
  CHECK(std::abs(image(0, 55, 1) - 4 * 55) > 100);
}

TEST_CASE(
    "orientation in EXIF, ImageMagick's profile and XMP turns JPEG, PNG and WebP upright unless it is switched off") {
  // Orientation 6: the upright image is the stored one turned clockwise.
  for (const char* name : {"orientation6.png", "orientation6.webp", "profile6.png", "xmp6.png", "xmp6.webp"}) {
    CAPTURE(name);
    const auto stored = decode(fixture(name), {.apply_orientation = false});
    CHECK(differences(stored, pattern) == 0);
    const auto upright = decode(fixture(name));
    REQUIRE(upright.shape(0) == 13);
    REQUIRE(upright.shape(1) == 9);
    for (std::size_t y = 0; y < 13; ++y)
      for (std::size_t x = 0; x < 9; ++x)
        for (std::size_t c = 0; c < 3; ++c) CHECK(upright(y, x, c) == pattern(8 - x, y, c));
  }
  CHECK(probe(fixture("xmp8.jpg")) == image_info{image_format::jpeg, 9, 13, 8});
  CHECK(decode(fixture("xmp8.jpg")).shape(0) == 13);
  CHECK(decode(fixture("orientation6.jpg")).shape(0) == 56);
  CHECK(decode(fixture("orientation6.jpg"), {.apply_orientation = false}).shape(0) == 40);
}

TEST_CASE("each EXIF orientation moves the corners where the standard says") {
  // The stored pixel that must come to the upright image's top left, and the one to its right.
  const bit::rgb_image image = noise(4, 6);
  struct expectation {
    int orientation;
    std::size_t y, x, next_y, next_x;
  };
  for (const auto& e : {expectation{1, 0, 0, 0, 1},
                        {2, 0, 5, 0, 4},
                        {3, 3, 5, 3, 4},
                        {4, 3, 0, 3, 1},
                        {5, 0, 0, 1, 0},
                        {6, 3, 0, 2, 0},
                        {7, 3, 5, 2, 5},
                        {8, 0, 5, 1, 5}}) {
    CAPTURE(e.orientation);
    const auto upright = detail::apply_orientation(image, e.orientation);
    CHECK(upright.shape(0) == (e.orientation >= 5 ? 6 : 4));
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(upright(0, 0, c) == image(e.y, e.x, c));
      CHECK(upright(0, 1, c) == image(e.next_y, e.next_x, c));
    }
  }
}

TEST_CASE("damaged EXIF blocks say nothing") {
  using bytes = std::vector<unsigned char>;
  CHECK_FALSE(detail::exif_orientation(bytes{}));
  CHECK_FALSE(detail::exif_orientation(bytes{'I', 'I', 42, 0, 0xff, 0xff, 0xff, 0xff}));
  bytes block{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0};
  CHECK(detail::exif_orientation(block) == 8);
  block.insert(block.begin(), {'E', 'x', 'i', 'f', 0, 0});
  CHECK(detail::exif_orientation(block) == 8);
  block.erase(block.begin(), block.begin() + 6);
  while (!block.empty()) {
    block.pop_back();
    CHECK_FALSE(detail::exif_orientation(block));
  }
}

TEST_CASE("XMP's orientation is an attribute or an element, and EXIF's goes before it") {
  CHECK(detail::xmp_orientation("<a tiff:Orientation=\"6\"/>") == 6);
  CHECK(detail::xmp_orientation("<tiff:Orientation>3</tiff:Orientation>") == 3);
  CHECK_FALSE(detail::xmp_orientation("<tiff:Orientation></tiff:Orientation>"));
  CHECK_FALSE(detail::xmp_orientation("tiff:Orientation=\""));
  using bytes = std::vector<unsigned char>;
  bytes block{'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 8, 0, 0, 0};
  const std::string_view xmp = "tiff:Orientation=\"6\"";
  CHECK(detail::orientation_of(block, xmp) == 8);
  CHECK(detail::orientation_of({}, xmp) == 6);
  CHECK(detail::orientation_of({}, "tiff:Orientation=\"9\"") == 1);
  CHECK(detail::orientation_of({}, "") == 1);
  block[18] = 9;  // there, but no orientation: XMP is not asked
  CHECK(detail::orientation_of(block, xmp) == 1);
  block[10] = 0x13;  // another tag
  CHECK(detail::orientation_of(block, xmp) == 6);
}

TEST_CASE("ImageMagick's profiles that are none say nothing, nor do texts that inflate without end") {
  const auto png = [](const std::string& type, const std::string& data) {
    std::vector<unsigned char> file(8);
    const std::size_t n = data.size();
    for (int shift = 24; shift >= 0; shift -= 8) file.push_back(static_cast<unsigned char>(n >> shift));
    for (const char c : type + data + "crc.") file.push_back(static_cast<unsigned char>(c));
    return detail::png_orientation(file);
  };
  using namespace std::string_literals;
  const std::string key = "Raw profile type exif\0"s, block = "4d4d002a00000008000101120003000000010008";
  CHECK(png("tEXt", key + "\nexif\n 26\n" + block + "\n0000\n") == 8);
  CHECK(png("tEXt", key + "\nexif\n 26\n" + block + "\n00z0\n") == 1);
  CHECK(png("tEXt", key + "\nexif " + block) == 1);
  CHECK(png("tEXt", "Raw profile type iptc\0\nexif\n 26\n"s + block + "0000") == 1);
  CHECK(png("zTXt", key + "\0no zlib"s) == 1);
  CHECK(png("iTXt", key) == 1);
  CHECK(png("iTXt", key + "\0\0\0"s) == 1);
}

TEST_CASE("probe reads format, size and orientation") {
  CHECK(probe(fixture("orientation6.jpg")) == image_info{image_format::jpeg, 40, 56, 6});
  CHECK(probe(fixture("orientation6.png")) == image_info{image_format::png, 9, 13, 6});
  CHECK(probe(fixture("orientation6.webp")) == image_info{image_format::webp, 9, 13, 6});
  CHECK(read_image_info(fixtures() / "top_down32.bmp") == image_info{image_format::bmp, 9, 13, 1});
}
