// SPDX-License-Identifier: Apache-2.0
// Truncated, oversized, many-scan and otherwise hostile images are errors that name the
// file, found before anything large is allocated.
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/data/image.hpp>
#include <bit/error.hpp>
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

TEST_CASE("a file truncated at any byte is an error that names it") {
  for (const auto& entry : std::filesystem::directory_iterator(fixtures())) {
    if (entry.path().extension() == ".bmp" && entry.path().stem().has_extension()) continue;  // expected pixels
    CAPTURE(entry.path().filename().string());
    auto bytes = file_bytes(entry.path());
    CHECK_NOTHROW(decode(bytes));
    std::size_t accepted = 0, unnamed = 0;
    while (!bytes.empty()) {
      bytes.pop_back();
      const std::string text = message(bytes);
      accepted += text.empty();
      unnamed += text.find("name.img") == std::string::npos;
    }
    CHECK(accepted == 0);
    CHECK(unnamed == 0);
  }
}

TEST_CASE("headers that claim 65535 x 65535 pixels are refused before allocation") {
  auto jpeg = fixture("baseline.jpg");
  put(jpeg, find(jpeg, {0xff, 0xc0}) + 5, {0xff, 0xff, 0xff, 0xff});
  CHECK(message(jpeg).find("Maximum supported image dimension is 65500") != std::string::npos);  // libjpeg's own
  put(jpeg, find(jpeg, {0xff, 0xc0}) + 5, {0xff, 0xdc, 0xff, 0xdc});
  CHECK(message(jpeg).find("exceeds decode_options::max_pixels = 178956970") != std::string::npos);
  // Below the limit, the file's own length says that the claim is false.
  put(jpeg, find(jpeg, {0xff, 0xc0}) + 5, {0x20, 0x00, 0x20, 0x00});
  CHECK(message(jpeg).find("of 8192 x 8192 pixels (width x height) cannot fit into 907 bytes") != std::string::npos);

  auto bmp = fixture("rgb.bmp");
  put(bmp, 18, {0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0});
  CHECK(message(bmp).find("65535 x 65535") != std::string::npos);
  put(bmp, 18, {0x00, 0x10, 0, 0, 0x01, 0, 0, 0});
  CHECK(message(bmp).find("cannot fit") != std::string::npos);

  auto webp = fixture("lossless.webp");
  CHECK(message(webp, {.max_pixels = 9 * 13 - 1}).find("max_pixels = 116") != std::string::npos);
  CHECK(message(webp, {.max_pixels = 9 * 13}).empty());
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

TEST_CASE("a flipped bit in PNG data is found by its checksum") {
  auto png = fixture("rgb.png");
  png[find(png, {'I', 'D', 'A', 'T'}) + 30] ^= std::byte{4};
  CHECK(message(png).find("is damaged") != std::string::npos);
}

TEST_CASE("a JPEG whose data ends early is an error, bytes after the end are not") {
  auto jpeg = fixture("baseline.jpg");
  auto damaged = jpeg;
  put(damaged, find(jpeg, {0xff, 0xda}) + 40, {0xff, 0xd9});
  CHECK(message(damaged).find("Corrupt JPEG data") != std::string::npos);
  jpeg.insert(jpeg.end(), 100, std::byte{7});
  CHECK(message(jpeg).empty());
}

TEST_CASE("bitmaps with rules broken say which") {
  auto bmp = fixture("rgb.bmp");
  put(bmp, 28, {7});
  CHECK(message(bmp).find("has 7 bits per pixel") != std::string::npos);
  put(bmp, 28, {8, 0, 1});
  CHECK(message(bmp).find("is run-length coded") != std::string::npos);
  auto small_palette = fixture("palette4.bmp");
  put(small_palette, 46, {2});
  CHECK(message(small_palette).find("uses colour 2 of a palette of 2") != std::string::npos);
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
