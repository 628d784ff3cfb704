// SPDX-License-Identifier: Apache-2.0
// Truncated, oversized, many-scan and otherwise hostile images are errors that name the
// file, found before anything large is allocated.
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/data/image.hpp>
#include <bit/error.hpp>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>

#include "pattern.hpp"

namespace {

using namespace bit::data;

std::string message(const std::vector<std::byte>& bytes, const decode_options& options = {}) {
  try {
    decode(bytes, options, "name.img");
  } catch (const bit::format_error& e) {
    return e.what();
  }
  return "";
}

void put(std::vector<std::byte>& bytes, std::size_t at, std::initializer_list<int> values) {
  for (int v : values) bytes.at(at++) = static_cast<std::byte>(v);
}

std::size_t find(const std::vector<std::byte>& bytes, std::initializer_list<int> values) {
  const auto same = [](std::byte a, int b) { return a == static_cast<std::byte>(b); };
  const auto it = std::search(bytes.begin(), bytes.end(), values.begin(), values.end(), same);
  REQUIRE(it != bytes.end());
  return static_cast<std::size_t>(it - bytes.begin());
}

}  // namespace

TEST_CASE("a file truncated at any byte is an error that names it, or has all its pixels") {
  for (const auto& entry : std::filesystem::directory_iterator(fixtures())) {
    if (entry.path().extension() == ".bmp" && entry.path().stem().has_extension()) continue;  // expected pixels
    CAPTURE(entry.path().filename().string());
    auto bytes = file_bytes(entry.path());
    const std::size_t size = bytes.size();
    const auto whole = decode(bytes, {.apply_orientation = false});
    std::size_t accepted = 0, wrong = 0, unnamed = 0;
    while (!bytes.empty()) {
      bytes.pop_back();
      const std::string text = message(bytes);
      unnamed += !text.empty() && text.find("name.img") == std::string::npos;
      if (!text.empty()) continue;
      ++accepted;
      wrong += decode(bytes, {.apply_orientation = false}) != whole;
    }
    CHECK(wrong == 0);
    CHECK(unnamed == 0);
    // What may be missing: a PNG's last chunk of 12 bytes and the 8 bytes of checksums before it, a bitmap's last padding.
    const auto kind = entry.path().extension();
    CHECK(accepted <= (kind == ".png" ? 20u : kind == ".bmp" ? 3u : 0u));
    CHECK(accepted < size / 3);
  }
}

TEST_CASE("headers that claim 65535 x 65535 pixels are refused before allocation") {
  auto jpeg = fixture("baseline.jpg");
  put(jpeg, find(jpeg, {0xff, 0xc0}) + 5, {0xff, 0xff, 0xff, 0xff});
  CHECK(message(jpeg).find("Maximum supported image dimension is 65500") != std::string::npos);  // libjpeg's own
  put(jpeg, find(jpeg, {0xff, 0xc0}) + 5, {0xff, 0xdc, 0xff, 0xdc});
  CHECK(message(jpeg).find("65500 x 65500 pixels (width x height) exceeds the limit of 178956970 pixels") !=
        std::string::npos);
  // Below the limit, the file's own length says that the claim is false.
  put(jpeg, find(jpeg, {0xff, 0xc0}) + 5, {0x20, 0x00, 0x20, 0x00});
  CHECK(message(jpeg).find("of 8192 x 8192 pixels (width x height) cannot fit into 907 bytes") != std::string::npos);

  auto bmp = fixture("rgb.bmp");
  put(bmp, 18, {0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0});
  CHECK(message(bmp).find("65535 x 65535") != std::string::npos);
  put(bmp, 18, {0x00, 0x10, 0, 0, 0x01, 0, 0, 0});
  CHECK(message(bmp).find("cannot fit") != std::string::npos);

  auto webp = fixture("lossless.webp");
  const std::string text = message(webp, {.max_pixels = 9 * 13 - 1});
  for (const char* way : {"limit of 116 pixels", "max_pixels=117 in Python", "--max-pixels 117 on the command line",
                          "BIT_MAX_PIXELS=117 in the environment", "decode_options::max_pixels in C++"})
    CHECK(text.find(way) != std::string::npos);
  CHECK(message(webp, {.max_pixels = 9 * 13}).empty());
}

TEST_CASE("the environment sets the limit of pixels, and a value that is no number is refused") {
  const auto webp = fixture("lossless.webp");
  struct restored {
    ~restored() { unsetenv("BIT_MAX_PIXELS"); }
  } at_end;
  setenv("BIT_MAX_PIXELS", "116", 1);
  CHECK(message(webp).find("limit of 116 pixels") != std::string::npos);
  setenv("BIT_MAX_PIXELS", "117", 1);
  CHECK(message(webp).empty());
  CHECK(message(webp, {.max_pixels = 116}).find("limit of 116 pixels") != std::string::npos);
  for (const char* text : {"0", "-1", "1e9", "many", "99999999999999999999999"}) {
    setenv("BIT_MAX_PIXELS", text, 1);
    CHECK_THROWS_WITH_AS(default_max_pixels(), doctest::Contains(text), bit::config_error);
  }
}

TEST_CASE("a dimension of zero is an error") {
  auto bmp = fixture("rgb.bmp");
  put(bmp, 22, {0, 0, 0, 0});
  CHECK(message(bmp).find("13 x 0 pixels (width x height) is empty") != std::string::npos);
  auto jpeg = fixture("baseline.jpg");
  put(jpeg, find(jpeg, {0xff, 0xc0}) + 7, {0, 0});
  CHECK_FALSE(message(jpeg).empty());
}

TEST_CASE("a JPEG of 10,000 scans is refused, and max_scans is the limit") {
  auto jpeg = fixture("progressive.jpg");
  CHECK(message(jpeg, {.max_scans = 10}).empty());
  CHECK(message(jpeg, {.max_scans = 3}).find("more scans than decode_options::max_scans") != std::string::npos);
  // Repeat the last scan.
  std::size_t last = 0;
  for (std::size_t i = 0; i + 1 < jpeg.size(); ++i)
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xda}) last = i;
  const std::vector<std::byte> scan(jpeg.begin() + static_cast<std::ptrdiff_t>(last), jpeg.end() - 2);
  jpeg.resize(jpeg.size() - 2);
  for (int i = 0; i < 10'000; ++i) jpeg.insert(jpeg.end(), scan.begin(), scan.end());
  jpeg.insert(jpeg.end(), {std::byte{0xff}, std::byte{0xd9}});
  CHECK_FALSE(message(jpeg).empty());
}

TEST_CASE("a flipped bit in PNG data is found by its checksum, one in a checksum that no pixel needs is no damage") {
  const auto png = fixture("rgb.png");
  const auto whole = decode(png);
  const auto flipped = [&](std::size_t at) {
    auto damaged = png;
    damaged[at] ^= std::byte{4};
    return damaged;
  };
  const std::size_t idat = find(png, {'I', 'D', 'A', 'T'}), header = find(png, {'I', 'H', 'D', 'R'});
  const std::size_t end = png.size() - 12;  // of IDAT, whose last eight bytes are zlib's checksum and the chunk's
  CHECK(message(flipped(idat + 30)).find("is damaged") != std::string::npos);
  CHECK(message(flipped(end - 6)).find("incorrect data check") != std::string::npos);
  CHECK(message(flipped(header + 4 + 13)).find("IHDR: CRC error") != std::string::npos);
  for (const std::size_t at : {end - 1, png.size() - 1}) {
    REQUIRE(message(flipped(at)).empty());
    CHECK(decode(flipped(at)) == whole);
  }
}

TEST_CASE("a JPEG whose data ends early is an error, bytes after the end are not") {
  auto jpeg = fixture("baseline.jpg");
  auto damaged = jpeg;
  put(damaged, find(jpeg, {0xff, 0xda}) + 40, {0xff, 0xd9});
  CHECK(message(damaged).find("is truncated or damaged: its data end before its last pixel") != std::string::npos);
  jpeg.insert(jpeg.end(), 100, std::byte{7});
  CHECK(message(jpeg).empty());
}

TEST_CASE("a JPEG's faults that lose no data are no damage") {
  const auto jpeg = fixture("baseline.jpg");
  const auto whole = decode(jpeg);
  const std::size_t scan = find(jpeg, {0xff, 0xda});
  const auto components = static_cast<std::size_t>(jpeg[scan + 4]);
  std::vector<std::vector<std::byte>> variants(4, jpeg);
  put(variants[0], scan + 4 + 1 + 2 * components + 1, {0});    // the last coefficient of a scan is not 63, but 0
  put(variants[1], jpeg.size() - 2, {0, 0});                   // zeros in the place of the end-of-image marker
  variants[2].insert(variants[2].end() - 2, 5, std::byte{7});  // bytes before it
  variants[3].insert(variants[3].begin() + static_cast<std::ptrdiff_t>(scan), 3, std::byte{7});  // between two markers
  for (const auto& bytes : variants) {
    CHECK(message(bytes).empty());
    CHECK(decode(bytes) == whole);
  }
}

TEST_CASE("bitmaps with rules broken say which") {
  auto bmp = fixture("rgb.bmp");
  put(bmp, 28, {7});
  CHECK(message(bmp).find("has 7 bits per pixel") != std::string::npos);
  put(bmp, 28, {8, 0, 1});
  CHECK(message(bmp).find("is run-length coded") != std::string::npos);
  auto small_palette = fixture("palette4.bmp");
  const auto whole = decode(small_palette);
  put(small_palette, 46, {2});  // colours 2 and 3 are black then
  const auto black = decode(small_palette);
  for (std::size_t x = 0; x < 4; ++x) CHECK(black(0, x, 2) == (x < 2 ? whole(0, x, 2) : 0));
  CHECK(whole(0, 2, 2) == 255);
  auto misplaced = fixture("palette4.bmp");
  put(misplaced, 10, {54, 0, 0, 0});  // the palette's place
  CHECK(decode(misplaced) == whole);
  auto masks = fixture("masks565.bmp");
  put(masks, 54, {0x05, 0x00});
  CHECK(message(masks).find("not one run of bits") != std::string::npos);
}

TEST_CASE("files that are no images say what they look like") {
  const auto text = [](const char* s) {
    const auto* p = reinterpret_cast<const std::byte*>(s);
    return message({p, p + std::strlen(s)});
  };
  CHECK(text("").find("the file is empty") != std::string::npos);
  CHECK(text("<!DOCTYPE html>").find("HTML") != std::string::npos);
  CHECK(text("version https://git-lfs").find("Git LFS pointer") != std::string::npos);
  CHECK(text("GIF89a").find("GIF") != std::string::npos);
  CHECK(text("random bytes").find("expected a JPEG, PNG, BMP or WebP image") != std::string::npos);
}

TEST_CASE("a device without end is refused by its first bytes") {
  if (std::filesystem::exists("/dev/zero")) CHECK_THROWS_AS(read_image("/dev/zero"), bit::format_error);
}

TEST_CASE("a file that cannot be read is an io_error with errno") {
  try {
    read_image("/nowhere/cat.jpg");
    FAIL("expected an io_error");
  } catch (const bit::io_error& e) {
    CHECK(e.code == ENOENT);
    CHECK(std::string(e.what()).find("/nowhere/cat.jpg") != std::string::npos);
  }
  CHECK_THROWS_AS(read_image(std::filesystem::temp_directory_path()), bit::io_error);
}
