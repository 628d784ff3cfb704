// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/data/archive.hpp>
#include <bit/data/cifar.hpp>
#include <bit/error.hpp>
#include <cstdio>
#include <cstring>
#include <map>
#if BIT_HAS_ZLIB
#include <zlib.h>
#endif

#include "pattern.hpp"

using namespace bit::data;

namespace {

using files = std::map<std::string, std::vector<std::byte>>;

std::vector<std::byte> text_bytes(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// Records as the official binary files hold them: the labels, then the planes of pattern-like pixels.
std::vector<std::byte> records(const std::vector<std::vector<int>>& labels, int salt) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (int label : labels[i]) bytes.push_back(static_cast<std::byte>(label));
    for (int k = 0; k < 3072; ++k)
      bytes.push_back(static_cast<std::byte>((k * 31 + k / 1024 * 7 + salt + static_cast<int>(i)) % 256));
  }
  return bytes;
}

files cifar10() {
  files made;
  for (int b = 1; b <= 5; ++b) made["data_batch_" + std::to_string(b) + ".bin"] = records({{b}, {9 - b}}, 10 * b);
  made["test_batch.bin"] = records({{3}, {0}, {7}}, 99);
  made["batches.meta.txt"] = text_bytes("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  made["readme.html"] = text_bytes("<html>");
  return made;
}

files cifar100() {
  std::string fine, coarse;
  for (int c = 0; c < 100; ++c) fine += "fine" + std::to_string(c) + "\n";
  for (int c = 0; c < 20; ++c) coarse += "coarse" + std::to_string(c) + "\n";
  return {{"train.bin", records({{4, 72}, {19, 0}}, 1)},
          {"test.bin", records({{2, 99}}, 2)},
          {"fine_label_names.txt", text_bytes(fine)},
          {"coarse_label_names.txt", text_bytes(coarse)}};
}

void write_folder(const std::filesystem::path& folder, const files& content) {
  std::filesystem::create_directories(folder);
  for (const auto& [name, bytes] : content) write_bytes(folder / name, bytes);
}

/// A ustar archive with a folder entry first, as the official ones have.
std::vector<std::byte> tar_of(const std::string& folder, const files& content) {
  std::vector<std::byte> archive;
  const auto add = [&](const std::string& name, char type, const std::vector<std::byte>& bytes) {
    std::array<char, 512> header{};
    std::memcpy(header.data(), name.data(), name.size());
    std::snprintf(header.data() + 100, 8, "%07o", 0644);
    std::snprintf(header.data() + 124, 12, "%011zo", bytes.size());
    std::memset(header.data() + 148, ' ', 8);
    header[156] = type;
    std::memcpy(header.data() + 257,
                "ustar\0"
                "00",
                8);
    unsigned sum = 0;
    for (char c : header) sum += static_cast<unsigned char>(c);
    std::snprintf(header.data() + 148, 8, "%06o", sum);
    const auto raw = std::as_bytes(std::span(header));
    archive.insert(archive.end(), raw.begin(), raw.end());
    archive.insert(archive.end(), bytes.begin(), bytes.end());
    archive.resize((archive.size() + 511) / 512 * 512);
  };
  add(folder + "/", '5', {});
  for (const auto& [name, bytes] : content) add(folder + "/" + name, '0', bytes);
  archive.resize(archive.size() + 1024);
  return archive;
}

void check_pixels(const dataset& set, std::size_t i, int salt) {
  const auto image = set.image(i);
  REQUIRE(image.shape(0) == 32);
  REQUIRE(image.shape(1) == 32);
  for (std::size_t y : {0u, 17u, 31u})
    for (std::size_t x : {0u, 5u, 31u})
      for (std::size_t c = 0; c < 3; ++c) {
        const std::size_t k = 1024 * c + 32 * y + x;
        CHECK(image(y, x, c) == (k * 31 + c * 7 + static_cast<std::size_t>(salt)) % 256);
      }
}

}  // namespace

TEST_CASE("CIFAR-10's binary files are read from their folder or one above") {
  const scratch_folder folder("cifar10");
  write_folder(folder.path / "cifar-10-batches-bin", cifar10());
  for (const auto& path : {folder.path, folder.path / "cifar-10-batches-bin"}) {
    CHECK(is_cifar_binary(path));
    const auto [train, test] = open_cifar_binary(path);
    CHECK(labels_of(*train) == std::vector<std::size_t>{1, 8, 2, 7, 3, 6, 4, 5, 5, 4});
    CHECK(labels_of(*test) == std::vector<std::size_t>{3, 0, 7});
    CHECK(train->class_names()[9] == "truck");
    CHECK(train->image_size(0) == std::array<std::size_t, 2>{32, 32});
    check_pixels(*train, 3, 21);
    check_pixels(*test, 2, 101);
    CHECK(test->name(2).find("test set, image 2") != std::string::npos);
  }
}

TEST_CASE("CIFAR-100 has fine and coarse labels, and names even without their files") {
  const scratch_folder folder("cifar100");
  write_folder(folder.path, cifar100());
  const auto fine = open_cifar_binary(folder.path);
  CHECK(labels_of(*fine.train) == std::vector<std::size_t>{72, 0});
  CHECK(labels_of(*fine.validation) == std::vector<std::size_t>{99});
  CHECK(fine.train->class_names()[72] == "fine72");
  check_pixels(*fine.train, 1, 2);
  const auto coarse = open_cifar_binary(folder.path, cifar_labels::coarse);
  CHECK(labels_of(*coarse.train) == std::vector<std::size_t>{4, 19});
  CHECK(coarse.train->class_names().size() == 20);
  std::filesystem::remove(folder.path / "fine_label_names.txt");
  CHECK(open_cifar_binary(folder.path).train->class_names()[3] == "class 3");
}

TEST_CASE("damaged CIFAR folders are refused with the file and what to do") {
  const scratch_folder folder("cifar_damage");
  const auto check = [&](const char* message) {
    CHECK_THROWS_WITH_AS(open_cifar_binary(folder.path), doctest::Contains(message), bit::format_error);
  };
  auto content = cifar10();
  content["data_batch_3.bin"].pop_back();
  write_folder(folder.path, content);
  check("whole records of 3073 bytes in data_batch_3.bin, got 6145 bytes");
  content = cifar10();
  content["data_batch_3.bin"][3073] = std::byte{10};
  write_folder(folder.path, content);
  check("labels below 10 in data_batch_3.bin, got 10 in record 1");
  content["data_batch_3.bin"].clear();
  write_folder(folder.path, content);
  check("got 0 bytes");
  content = cifar10();
  content["batches.meta.txt"] = text_bytes("one\ntwo\n");
  write_folder(folder.path, content);
  check("expected 10 class names in batches.meta.txt, got 2");
  write_folder(folder.path, cifar10());
  std::filesystem::remove(folder.path / "data_batch_4.bin");
  check("expected the file data_batch_4.bin, it is missing");
  CHECK_FALSE(is_cifar_binary(folder.path / "nowhere"));
  CHECK_THROWS_AS(open_cifar_binary(folder.path / "nowhere"), bit::format_error);
}

#if BIT_HAS_ZLIB

namespace {

void write_gzip(const std::filesystem::path& path, const std::vector<std::byte>& bytes) {
  gzFile file = ::gzopen(path.c_str(), "wb");
  REQUIRE(::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) == static_cast<int>(bytes.size()));
  REQUIRE(::gzclose(file) == Z_OK);
}

}  // namespace

TEST_CASE("CIFAR archives are read packed, gzipped or not, as their unpacked folder is") {
  const scratch_folder folder("cifar_tar");
  const auto packed = folder.path / "cifar-10-binary.tar.gz", plain = folder.path / "cifar-10-binary.tar";
  write_gzip(packed, tar_of("cifar-10-batches-bin", cifar10()));
  write_bytes(plain, tar_of("cifar-10-batches-bin", cifar10()));
  for (const auto& path : {packed, plain, folder.path}) {
    const auto [train, test] = open_cifar_binary(path);
    CHECK(labels_of(*train) == std::vector<std::size_t>{1, 8, 2, 7, 3, 6, 4, 5, 5, 4});
    CHECK(train->class_names()[0] == "airplane");
    check_pixels(*test, 0, 99);
  }
  const auto hundred = folder.path / "hundred.tar.gz";
  write_gzip(hundred, tar_of("cifar-100-binary", cifar100()));
  CHECK(labels_of(*open_cifar_binary(hundred).train) == std::vector<std::size_t>{72, 0});
}

TEST_CASE("an archive cut anywhere is an error that names it") {
  const scratch_folder folder("cifar_cut");
  const auto path = folder.path / "cifar-10-binary.tar.gz";
  const auto tar = tar_of("cifar-10-batches-bin", cifar10());
  write_gzip(path, tar);
  const auto packed = file_bytes(path);
  std::size_t errors = 0, cuts = 0;
  const auto refused = [&](const std::vector<std::byte>& bytes, std::size_t size) {
    write_bytes(path, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
    ++cuts;
    try {
      open_cifar_binary(path);
    } catch (const bit::format_error& e) {
      errors += std::string(e.what()).find("cifar-10-binary.tar.gz") != std::string::npos ? 1 : 0;
    }
  };
  for (std::size_t size = 0; size < packed.size(); size += 97) refused(packed, size);
  refused(packed, packed.size() - 1);
  for (std::size_t at = 10; at < packed.size(); at += 89) {  // the first ten bytes hold the time and the like
    auto flipped = packed;
    flipped[at] ^= std::byte{4};
    refused(flipped, flipped.size());
  }
  // The last two blocks are the end's mark, of which the first is enough.
  for (std::size_t size = 0; size <= tar.size() - 1024; size += 256) refused(tar, size);
  CHECK(errors == cuts);
  auto wrong = tar;
  wrong[100] = std::byte{'x'};
  refused(wrong, wrong.size());
  refused(text_bytes(std::string(3000, 'x')), 3000);
  CHECK(errors == cuts);
  CHECK_THROWS_AS(open_cifar_binary(fixtures() / "baseline.jpg"), bit::format_error);
}

TEST_CASE("a member that claims to be huge costs no memory") {
  const scratch_folder folder("cifar_huge");
  auto tar = tar_of("cifar-10-batches-bin", {{"train.bin", records({{1, 1}}, 0)}});
  std::memcpy(reinterpret_cast<char*>(tar.data()) + 512 + 124, "07777777777", 11);  // 1 GiB less one
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned>(tar[512 + i]);
  std::snprintf(reinterpret_cast<char*>(tar.data()) + 512 + 148, 8, "%06o", sum);
  write_bytes(folder.path / "a.tar", tar);
  CHECK_THROWS_WITH_AS(open_cifar_binary(folder.path / "a.tar"), doctest::Contains("it ends within"),
                       bit::format_error);
}

#endif
