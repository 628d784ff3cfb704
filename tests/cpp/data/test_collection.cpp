// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/data/collection.hpp>
#include <bit/data/image_folder.hpp>
#include <bit/error.hpp>
#include <bit/random.hpp>
#include <fstream>
#include <set>

#include "pattern.hpp"

using namespace bit::data;

namespace {

/// Makes files that are images by their names alone, which is all that a collection looks at where there is a suffix.
void put(const scratch_folder& folder, const std::vector<std::string>& names, const std::string& content = "x") {
  for (const std::string& name : names) {
    std::filesystem::create_directories((folder.path / name).parent_path());
    std::ofstream(folder.path / name, std::ios::binary) << content;
  }
}

/// "train:cat train/cat/1.jpg" for each image, in order; "-" for no class.
std::vector<std::string> taken(const scratch_folder& folder, const collection_options& options = {}) {
  const image_collection found = read_collection(folder.path, options);
  std::vector<std::string> lines;
  for (const collected_image& image : found.images)
    lines.push_back(std::string(to_string(image.split)) + ":" + (image.label ? found.classes[*image.label] : "-") +
                    " " + image.path.lexically_relative(folder.path).generic_string());
  return lines;
}

/// "reason path" for each entry that was left out.
std::vector<std::string> left_out(const scratch_folder& folder) {
  std::vector<std::string> lines;
  for (const left_out_entry& e : read_collection(folder.path).left_out)
    lines.push_back(std::string(to_string(e.reason)) + " " + e.path.lexically_relative(folder.path).generic_string());
  return lines;
}

using strings = std::vector<std::string>;

}  // namespace

TEST_CASE("split folders hold classes, in any spelling and case") {
  struct names {
    const char *train, *validation;
  };
  for (const names& n : {names{"train", "val"},
                         {"Train", "Test"},
                         {"training", "validation"},
                         {"TRAIN", "dev"},
                         {"train2017", "val2017"},
                         {"training_set", "test_set"},
                         {"train-images", "valid"}}) {
    const scratch_folder folder("splits");
    const std::string train = n.train, validation = n.validation;
    put(folder, {train + "/cat/1.jpg", train + "/dog/1.jpg", validation + "/dog/2.jpg"});
    const std::string second = to_string(split_of_name(validation));
    CHECK(taken(folder) == strings{"train:cat " + train + "/cat/1.jpg", "train:dog " + train + "/dog/1.jpg",
                                   second + ":dog " + validation + "/dog/2.jpg"});
    CHECK(left_out(folder).empty());
    CHECK(read_collection(folder.path).summary().empty());
  }
  for (const char* other : {"trainer", "valley", "tests of time", "cat", "evaluation", "set"})
    CHECK_MESSAGE(split_of_name(other) == split_name::whole, other);
}

TEST_CASE("splits may stand below the classes, alone, flat, or twice in an archive") {
  const scratch_folder folder("layouts");
  SUBCASE("below the classes") {
    put(folder, {"cat/train/1.jpg", "cat/test/2.jpg", "dog/train/3.jpg"});
    CHECK(taken(folder) ==
          strings{"train:cat cat/train/1.jpg", "train:dog dog/train/3.jpg", "test:cat cat/test/2.jpg"});
  }
  SUBCASE("alone") {
    put(folder, {"val/n01/1.jpg", "val/n02/1.jpg"});
    CHECK(taken(folder) == strings{"validation:n01 val/n01/1.jpg", "validation:n02 val/n02/1.jpg"});
    CHECK_THROWS_WITH_AS(open_image_folder(folder.path), doctest::Contains("expected a folder train/"),
                         bit::config_error);
    const auto measured = open_image_folder(folder.path, {.needs_train = false});
    CHECK(measured.train->size() == 0);
    CHECK(measured.validation->size() == 2);
  }
  SUBCASE("flat beside empty folders, which are no classes then") {
    put(folder, {"train/1.jpg"});
    std::filesystem::create_directories(folder.path / "train" / "cat");
    CHECK(read_collection(folder.path).classes.empty());
    CHECK_THROWS_WITH_AS(list_labelled_images(folder.path), doctest::Contains("1 images without classes"),
                         bit::config_error);
  }
  SUBCASE("flat") {
    put(folder, {"train/1.jpg", "test/2.jpg"});
    CHECK(taken(folder) == strings{"train:- train/1.jpg", "test:- test/2.jpg"});
    CHECK_THROWS_WITH_AS(open_image_folder(folder.path), doctest::Contains("2 images without classes"),
                         bit::config_error);
  }
  SUBCASE("twice") {
    put(folder, {"training_set/training_set/cat/1.jpg", "test_set/test_set/cat/2.jpg"});
    CHECK(taken(folder) ==
          strings{"train:cat training_set/training_set/cat/1.jpg", "test:cat test_set/test_set/cat/2.jpg"});
  }
  SUBCASE("one without classes is left out and said") {
    put(folder, {"train/cat/1.jpg", "train/dog/1.jpg", "val/0.jpg"});
    CHECK(left_out(folder) == strings{"without a class folder val/0.jpg"});
    CHECK(read_collection(folder.path)
              .summary()
              .starts_with("1 of 3 entries were not taken: 1 without a class folder ("));
  }
  SUBCASE("as classes, where others lie beside them") {
    put(folder, {"train/1.jpg", "bus/1.jpg"});
    CHECK(taken(folder) == strings{"whole:bus bus/1.jpg", "whole:train train/1.jpg"});
    CHECK(read_collection(folder.path).summary().find("taken for classes") != std::string::npos);
  }
  SUBCASE("beside what belongs to no split") {
    put(folder, {"train/cat/1.jpg", "extra/cat/1.jpg", "cover.jpg"});
    CHECK(left_out(folder) ==
          strings{"beside the folders of the splits cover.jpg", "beside the folders of the splits extra/cat/1.jpg"});
  }
}

TEST_CASE("images without classes are one flat collection, whatever folders they lie in") {
  const scratch_folder folder("flat");
  put(folder, {"1.jpg", "2.jpg", "edited/1.jpg", ".ipynb_checkpoints/1.jpg"});
  CHECK(taken(folder) == strings{"whole:- 1.jpg", "whole:- 2.jpg", "whole:- edited/1.jpg"});
  put(folder, {"cat/1.jpg", "cat/2.jpg", "cat/3.jpg"});  // two folders that hold more: classes, the others are left out
  CHECK(taken(folder) ==
        strings{"whole:cat cat/1.jpg", "whole:cat cat/2.jpg", "whole:cat cat/3.jpg", "whole:edited edited/1.jpg"});
  CHECK(left_out(folder) ==
        strings{"hidden .ipynb_checkpoints", "without a class folder 1.jpg", "without a class folder 2.jpg"});
}

TEST_CASE("what systems leave behind is left out and named") {
  const scratch_folder folder("litter");
  put(folder,
      {"cat/1.jpg", "cat/@eaDir/1.jpg/THUMB.jpg", "dog/1.jpg", "__MACOSX/cat/._1.jpg", "Thumbs.db", "dog/2.jpg.part"});
  CHECK(taken(folder) == strings{"whole:cat cat/1.jpg", "whole:dog dog/1.jpg"});
  CHECK(
      read_collection(folder.path).summary().starts_with("4 of 6 entries were not taken: 4 left behind by a system ("));
}

TEST_CASE("content decides where the suffix says nothing, other formats are counted") {
  const scratch_folder folder("content");
  put(folder, {"cat/photo", "cat/scan.orig"}, std::string("\xff\xd8\xff\xe0", 4));
  put(folder, {"dog/a"}, "GIF89a------");
  put(folder, {"dog/1.jpg", "dog/b.tif", "dog/notes.txt"});
  CHECK(taken(folder) == strings{"whole:cat cat/photo", "whole:cat cat/scan.orig", "whole:dog dog/1.jpg"});
  CHECK(left_out(folder) == strings{"in image formats that are not read here dog/a",
                                    "in image formats that are not read here dog/b.tif", "no images dog/notes.txt"});
  CHECK(taken(folder, {.other_suffixes = {".tif", ".gif"}}).size() == 5);
}

TEST_CASE("links are followed, repetitions and loops left out, whatever their names") {
  const scratch_folder folder("links"), elsewhere("links_elsewhere");
  put(folder, {"cat/1.jpg", "dog/1.jpg"});
  put(elsewhere, {"2.jpg", "pool/3.jpg"});
  std::filesystem::create_directory_symlink("cat", folder.path / "aa");  // named before what it repeats
  std::filesystem::create_directory_symlink("..", folder.path / "dog" / "loop");
  std::filesystem::create_symlink("1.jpg", folder.path / "cat" / "0.jpg");
  std::filesystem::create_symlink("nothing", folder.path / "cat" / "gone.jpg");
  std::filesystem::create_symlink(elsewhere.path / "2.jpg", folder.path / "cat" / "2.jpg");
  std::filesystem::create_symlink(elsewhere.path / "2.jpg", folder.path / "dog" / "again.jpg");
  std::filesystem::create_directory_symlink(elsewhere.path / "pool", folder.path / "eel");
  CHECK(taken(folder) ==
        strings{"whole:cat cat/1.jpg", "whole:cat cat/2.jpg", "whole:dog dog/1.jpg", "whole:eel eel/3.jpg"});
  CHECK(left_out(folder) == strings{"repeated through links aa", "repeated through links cat/0.jpg",
                                    "links to nothing cat/gone.jpg", "repeated through links dog/again.jpg",
                                    "repeated through links dog/loop"});
}

TEST_CASE("class names are text, and one class in all splits whatever their case and accents") {
  const scratch_folder folder("names");
  put(folder,
      {"train/caf\xe9/1.jpg", "train/Caf\xc3\xa9/1.jpg", "val/Cafe\xcc\x81/1.jpg", "train/cat/1.jpg", "val/CAT/1.jpg"});
  const image_collection found = read_collection(folder.path);
  CHECK(found.classes == strings{"Caf\xc3\xa9", "caf\\xe9", "cat"});
  CHECK(found.images.back().label == 2);
  CHECK(found.notes.size() == 2);
  put(folder, {"train/Cat/2.jpg"});  // two spellings within one split are two classes, said
  CHECK(read_collection(folder.path).classes.size() == 4);
  CHECK(read_collection(folder.path).summary().find("differ only in case") != std::string::npos);
}

TEST_CASE("every entry of a random tree is taken or left out, and none twice") {
  using bit::random_purpose;
  const strings folders{"cat", "Dog", "train", "Val", "test", "@eaDir", ".hidden", "deep", "caf\xe9"};
  const strings files{"1.jpg", "2.PNG", "10.jpeg", "a.gif", "notes.txt", "Thumbs.db", ".x.jpg", "noname", "b.webp"};
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const scratch_folder folder("random_tree");
    const auto order = bit::random_permutation(4096, seed, random_purpose::split, 0);
    std::size_t draw = 0;
    const auto pick = [&](std::size_t below) { return order[draw++] % below; };
    for (std::size_t i = 0, count = 5 + pick(20); i < count; ++i) {
      std::filesystem::path at;
      for (std::size_t depth = pick(4); depth > 0; --depth) at /= folders[pick(folders.size())];
      put(folder, {(at / files[pick(files.size())]).string()});
    }
    if (pick(2) == 0) std::filesystem::create_directory_symlink(".", folder.path / "self");
    const image_collection found = read_collection(folder.path);
    std::set<std::filesystem::path> taken_paths, out;
    for (const auto& image : found.images) CHECK(taken_paths.insert(image.path).second);
    for (const auto& e : found.left_out) CHECK(out.insert(e.path).second);
    for (const auto& path : taken_paths) CHECK_FALSE(out.contains(path));
    std::size_t seen = 0;
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder.path)) {
      if (e.is_directory() && !e.is_symlink()) continue;
      bool known = taken_paths.contains(e.path());
      seen += known ? 1 : 0;
      for (auto above = e.path(); !known && above != folder.path; above = above.parent_path())
        known = out.contains(above);
      CHECK_MESSAGE(known, e.path().string());
    }
    CHECK(seen == taken_paths.size());
    CHECK(list_images(folder.path).size() == found.images.size());
  }
}
