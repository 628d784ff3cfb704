// SPDX-License-Identifier: Apache-2.0
// The test images: the pattern that tests/fuzz/make_image_corpus.py writes, and access to the files it made.
#pragma once

#include <bit/data/image.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

inline const std::filesystem::path& fixtures() {
  static const std::filesystem::path folder = std::filesystem::path(BIT_TEST_DATA) / "fuzz" / "corpus" / "image";
  return folder;
}

inline std::vector<std::byte> file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes;
  for (auto it = std::istreambuf_iterator<char>(file); it != std::istreambuf_iterator<char>(); ++it)
    bytes.push_back(static_cast<std::byte>(*it));
  return bytes;
}

inline std::vector<std::byte> fixture(const std::string& name) { return file_bytes(fixtures() / name); }

inline void write_bytes(const std::filesystem::path& path, const std::vector<std::byte>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// Channel c of the 9 x 13 pattern.
inline std::uint8_t pattern(std::size_t y, std::size_t x, std::size_t c) {
  const std::size_t values[] = {17 * x + 3 * y, 5 * x + 19 * y, 7 * x + 11 * y * y};
  return static_cast<std::uint8_t>(values[c]);
}

/// An image of any size with reproducible noise.
inline bit::rgb_image noise(std::size_t height, std::size_t width, std::uint32_t seed = 1) {
  auto image = bit::rgb_image::from_shape({height, width, std::size_t{3}});
  std::uint32_t state = seed;
  for (std::size_t i = 0; i < image.size(); ++i) {
    state = state * 1664525u + 1013904223u;
    image.data()[i] = static_cast<std::uint8_t>(state >> 24);
  }
  return image;
}

/// A folder of one test, removed at its end.
struct scratch_folder {
  std::filesystem::path path;
  explicit scratch_folder(const std::string& name)
      : path(std::filesystem::temp_directory_path() / ("bit_test_" + name)) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~scratch_folder() { std::filesystem::remove_all(path); }
};
