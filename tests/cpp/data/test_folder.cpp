// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/data/collection.hpp>
#include <bit/error.hpp>
#include <fstream>

#include "pattern.hpp"

using namespace bit::data;

TEST_CASE("natural order counts runs of digits and ignores case") {
  CHECK(natural_less("img2.png", "img10.png"));
  CHECK_FALSE(natural_less("img10.png", "img2.png"));
  CHECK(natural_less("a1b2", "a1b10"));
  CHECK(natural_less("IMG9", "img10"));
  CHECK(natural_less("img", "img1"));
  CHECK(natural_less("img007x", "img8"));
  CHECK(natural_less("1", "a"));
  CHECK_FALSE(natural_less("same", "same"));
  // Names equal in natural order keep one fixed order.
  CHECK(natural_less("a01", "a1") != natural_less("a1", "a01"));
  CHECK(natural_less("99999999999999999999998", "99999999999999999999999"));
}

TEST_CASE("images are listed recursively by suffix, links to folders once") {
  const scratch_folder folder("folder");
  for (const char* name : {"img10.png", "img2.JPG", "notes.txt", "b/deep/x.webp", "b/1.jpeg", ".hidden.png"}) {
    std::filesystem::create_directories((folder.path / name).parent_path());
    std::ofstream(folder.path / name) << "x";
  }
  std::filesystem::create_directory_symlink(folder.path, folder.path / "b" / "loop");
  std::vector<std::string> names;
  for (const auto& path : list_images(folder.path)) names.push_back(path.lexically_relative(folder.path).string());
  CHECK(names == std::vector<std::string>{"b/1.jpeg", "b/deep/x.webp", "img2.JPG", "img10.png"});
  CHECK_THROWS_AS(list_images(folder.path / "nowhere"), bit::io_error);
}

TEST_CASE("subfolders are classes in natural or lexical order") {
  const scratch_folder folder("classes");
  for (const char* name : {"10/a.png", "2/b.png", "2/c.png", "docs/readme.txt"}) {
    std::filesystem::create_directories((folder.path / name).parent_path());
    std::ofstream(folder.path / name) << "x";
  }
  std::filesystem::create_directory(folder.path / "empty");
  const auto natural = list_labelled_images(folder.path);
  CHECK(natural.classes == std::vector<std::string>{"2", "10", "empty"});
  CHECK(natural.labels == std::vector<std::size_t>{0, 0, 1});
  CHECK(natural.paths[2] == folder.path / "10" / "a.png");
  const auto lexical = list_labelled_images(folder.path, class_order::lexical);
  CHECK(lexical.classes == std::vector<std::string>{"10", "2", "empty"});
  CHECK_THROWS_AS(list_labelled_images(folder.path / "empty"), bit::config_error);
}
