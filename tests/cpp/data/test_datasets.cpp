// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/data/csv.hpp>
#include <bit/data/dataset.hpp>
#include <bit/data/image_folder.hpp>
#include <bit/error.hpp>
#include <fstream>

#include "pattern.hpp"

using namespace bit::data;

namespace {

/// `count` copies of a real JPEG file, numbered.
void put_images(const std::filesystem::path& folder, std::size_t count) {
  std::filesystem::create_directories(folder);
  for (std::size_t i = 0; i < count; ++i)
    std::filesystem::copy_file(fixtures() / "baseline.jpg", folder / (std::to_string(i) + ".jpg"));
}

std::shared_ptr<memory_dataset> squares(const std::vector<std::size_t>& labels, std::size_t classes) {
  std::vector<std::uint8_t> pixels(labels.size() * 12);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i);
  std::vector<std::string> names;
  for (std::size_t c = 0; c < classes; ++c) names.push_back("c" + std::to_string(c));
  return std::make_shared<memory_dataset>(pixels, 2, 2, labels, names, "squares");
}

std::vector<std::string> names_of(const dataset& images) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < images.size(); ++i) names.push_back(images.name(i));
  return names;
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("a set in memory hands out its pixels and refuses what does not fit") {
  const auto set = squares({0, 1, 1}, 2);
  CHECK(set->size() == 3);
  CHECK(set->image(1)(0, 0, 0) == 12);
  CHECK(set->image(2)(1, 1, 2) == 35);
  CHECK(set->name(2) == "squares, image 2");
  CHECK(class_counts(*set) == std::vector<std::size_t>{1, 2});
  CHECK(labels_of(*set) == std::vector<std::size_t>{0, 1, 1});
  CHECK_THROWS_WITH_AS(squares({0, 2}, 2), doctest::Contains("number of classes, 2, got 2 for squares, image 1"),
                       bit::shape_error);
  CHECK_THROWS_WITH_AS(memory_dataset({1, 2, 3}, 2, 2, {0}, {"a"}, "x"), doctest::Contains("(1,2,2,3)"),
                       bit::shape_error);
}

TEST_CASE("a subset has its part's images and all classes") {
  const subset part(squares({0, 1, 2}, 3), {2, 0, 2});
  CHECK(part.size() == 3);
  CHECK(labels_of(part) == std::vector<std::size_t>{2, 0, 2});
  CHECK(part.class_names().size() == 3);
  CHECK(part.image(0) == squares({0, 1, 2}, 3)->image(2));
  CHECK_THROWS_AS(subset(squares({0}, 1), {1}), bit::shape_error);
}

TEST_CASE("sets from which nothing can be learned are refused by name") {
  check_trainable(*squares({0, 1}, 2), "mine");
  CHECK_THROWS_WITH_AS(check_trainable(*squares({0, 2}, 4), "mine"), doctest::Contains("mine: expected training"),
                       bit::config_error);
  CHECK_THROWS_WITH_AS(check_trainable(*squares({0, 2}, 4), "mine"), doctest::Contains("none of 'c1', 'c3'"),
                       bit::config_error);
  CHECK_THROWS_WITH_AS(check_trainable(*squares({0}, 1), "mine"), doctest::Contains("only 'c0'"), bit::config_error);
  CHECK_THROWS_WITH_AS(check_trainable(*squares({}, 3), "mine"), doctest::Contains("found none"), bit::config_error);
}

TEST_CASE("a stratified split gives each class its share, by the seed") {
  std::vector<std::size_t> labels(100, 0);
  std::fill(labels.begin() + 50, labels.begin() + 90, std::size_t{1});
  std::fill(labels.begin() + 90, labels.begin() + 92, std::size_t{2});
  labels[92] = 3;
  std::fill(labels.begin() + 93, labels.end(), std::size_t{4});
  const auto whole = squares(labels, 6);
  const auto split = stratified_split(whole, 0.2, 1);
  CHECK(class_counts(*split.validation) == std::vector<std::size_t>{10, 8, 1, 0, 1, 0});
  CHECK(class_counts(*split.train) == std::vector<std::size_t>{40, 32, 1, 1, 6, 0});
  auto all = names_of(*split.train);
  CHECK(all == names_of(*stratified_split(whole, 0.2, 1).train));
  CHECK(all != names_of(*stratified_split(whole, 0.2, 2).train));
  for (const auto& name : names_of(*split.validation)) all.push_back(name);
  std::ranges::sort(all);
  CHECK(std::ranges::adjacent_find(all) == all.end());
  CHECK(all.size() == 100);
  CHECK(stratified_split(whole, 0, 1).validation->size() == 0);
  CHECK_THROWS_AS(stratified_split(whole, 1, 1), bit::config_error);
}

TEST_CASE("a folder with train and val is taken as it is divided, classes by name") {
  const scratch_folder folder("divided");
  put_images(folder.path / "train" / "2", 2);
  put_images(folder.path / "train" / "10", 3);
  put_images(folder.path / "val" / "10", 1);
  put_images(folder.path / "test" / "2", 4);  // val comes first
  const auto [train, validation] = open_image_folder(folder.path);
  CHECK(train->class_names() == std::vector<std::string>{"2", "10"});
  CHECK(class_counts(*train) == std::vector<std::size_t>{2, 3});
  CHECK(class_counts(*validation) == std::vector<std::size_t>{0, 1});
  CHECK(validation->name(0) == (folder.path / "val" / "10" / "0.jpg").string());
  const auto lexical = open_image_folder(folder.path, {.order = class_order::lexical});
  CHECK(lexical.train->class_names() == std::vector<std::string>{"10", "2"});
  CHECK(class_counts(*lexical.validation) == std::vector<std::size_t>{1, 0});
  put_images(folder.path / "val" / "owl", 1);
  CHECK_THROWS_WITH_AS(open_image_folder(folder.path), doctest::Contains("found also 'owl'"), bit::config_error);
}

TEST_CASE("a folder of classes is split by the seed, a class called train is one of them") {
  const scratch_folder folder("classes_only");
  put_images(folder.path / "car", 10);
  put_images(folder.path / "train", 5);  // images lie in it, no classes
  const auto split = open_image_folder(folder.path, {.validation_fraction = 0.4, .seed = 3});
  CHECK(split.train->class_names() == std::vector<std::string>{"car", "train"});
  CHECK(class_counts(*split.train) == std::vector<std::size_t>{6, 3});
  CHECK(class_counts(*split.validation) == std::vector<std::size_t>{4, 2});
  CHECK(split.train->image(0).shape(0) == 40);
  CHECK(typical_image_size(*split.train) == std::array<std::size_t, 2>{40, 56});
}

TEST_CASE("folders without classes or images say what was expected") {
  const scratch_folder folder("wrong");
  CHECK_THROWS_WITH_AS(open_image_folder(folder.path), doctest::Contains("one subfolder per class"), bit::config_error);
  std::filesystem::create_directories(folder.path / "a");
  CHECK_THROWS_WITH_AS(open_image_folder(folder.path), doctest::Contains("found none"), bit::config_error);
  CHECK_THROWS_AS(open_image_folder(folder.path / "nowhere"), bit::io_error);
}

TEST_CASE("typical sizes are upright, medians, and pass over what cannot be read") {
  const scratch_folder folder("sizes");
  put_images(folder.path, 2);
  std::filesystem::copy_file(fixtures() / "orientation6.jpg", folder.path / "turned.jpg");
  write_text(folder.path / "broken.jpg", "no image");
  const auto set = [&](const std::vector<std::string>& names) {
    std::vector<std::filesystem::path> paths;
    for (const auto& name : names) paths.push_back(folder.path / name);
    return file_dataset(paths, std::vector<std::size_t>(names.size(), 0), {"a"});
  };
  const file_dataset turned = set({"broken.jpg", "turned.jpg"});
  CHECK(typical_image_size(turned) == std::array{turned.image(1).shape(0), turned.image(1).shape(1)});
  CHECK_THROWS_AS(typical_image_size(set({"broken.jpg"})), bit::config_error);
}

TEST_CASE("a fallback reads what the library refuses, wherever labelled files come from") {
  const scratch_folder folder("fallback");
  put_images(folder.path / "cat", 1);
  write_text(folder.path / "cat" / "1.xyz", "a format of the program's own");
  write_text(folder.path / "list.csv", "cat/0.jpg,cat\ncat/1.xyz,cat\n");
  const image_fallback grey = [](const std::filesystem::path& path) -> bit::rgb_image {
    if (path.extension() != ".xyz") throw bit::format_error("not asked for " + path.string());
    auto image = bit::rgb_image::from_shape({5, 7, 3});
    image.fill(128);
    return image;
  };
  const auto check = [](const dataset& set) {
    REQUIRE(set.size() == 2);
    CHECK(set.image(0).shape(0) != 5);  // the library's own format is never handed over
    CHECK(set.image(1).shape(0) == 5);
    CHECK(set.image(1)(4, 6, 2) == 128);
    CHECK(set.image_size(1) == std::array<std::size_t, 2>{5, 7});
  };
  check(
      *open_image_folder(folder.path, {.validation_fraction = 0, .fallback = grey, .other_suffixes = {".xyz"}}).train);
  check(*open_csv(folder.path / "list.csv", {.fallback = grey}));
  const auto without = open_csv(folder.path / "list.csv");
  CHECK_THROWS_AS(without->image(1), bit::format_error);
  std::filesystem::remove(folder.path / "cat" / "1.xyz");
  CHECK_THROWS_AS(file_dataset({folder.path / "cat" / "1.xyz"}, {0}, {"cat"}, {}, grey).image(0), bit::io_error);
}

TEST_CASE("a set under other classes keeps its images and gets their numbers") {
  const auto whole =
      std::make_shared<memory_dataset>(std::vector<std::uint8_t>(36), 2, 2, std::vector<std::size_t>{1, 0, 1},
                                       std::vector<std::string>{"cat", "dog"}, "here");
  const relabelled other(whole, {2, 0}, {"dog", "cow", "cat"});
  CHECK(labels_of(other) == std::vector<std::size_t>{0, 2, 0});
  CHECK(class_counts(other) == std::vector<std::size_t>{2, 0, 1});
  CHECK(other.name(1) == whole->name(1));
  CHECK(other.image_size(0) == std::array<std::size_t, 2>{2, 2});
  CHECK_THROWS_AS(relabelled(whole, {0}, {"dog"}), bit::shape_error);
  CHECK_THROWS_WITH_AS(relabelled(whole, {0, 3}, {"dog", "cow", "cat"}), doctest::Contains("class 'dog'"),
                       bit::shape_error);
}

TEST_CASE("CSV lists name their images and classes") {
  const scratch_folder folder("csv");
  put_images(folder.path / "im", 3);
  const auto list = folder.path / "list.csv";
  SUBCASE("with a header, quotes, a byte-order mark and both line ends") {
    write_text(list,
               "\xef\xbb\xbfsplit,Label,\"Path\"\r\na,dog 10,im/0.jpg\r\n\r\nb,\"dog \"\"2\"\"\",\"im/1.jpg\"\n"
               "c,\"dog 10\",im/2.jpg");
    const auto set = open_csv(list);
    CHECK(set->class_names() == std::vector<std::string>{"dog \"2\"", "dog 10"});
    CHECK(labels_of(*set) == std::vector<std::size_t>{1, 0, 1});
    CHECK(set->name(0) == (folder.path / "im/0.jpg").string());
    CHECK(set->image(2).shape(1) == 56);
  }
  SUBCASE("without a header, numbers as labels in natural order") {
    write_text(list, "im/0.jpg,10\nim/1.jpg,9\nim/2.jpg,10\n");
    CHECK(open_csv(list)->class_names() == std::vector<std::string>{"9", "10"});
    CHECK(labels_of(*open_csv(list)) == std::vector<std::size_t>{1, 0, 1});
  }
  SUBCASE("with given classes, by name or number") {
    write_text(list, "im/0.jpg,cat\nim/1.jpg,1\n");
    const auto set = open_csv(list, {.classes = {"dog", "cat", "eel"}});
    CHECK(labels_of(*set) == std::vector<std::size_t>{1, 1});
    CHECK(set->class_names().size() == 3);
    write_text(list, "im/0.jpg,cat\nim/1.jpg,3\n");
    CHECK_THROWS_WITH_AS(open_csv(list, {.classes = {"dog", "cat", "eel"}}),
                         doctest::Contains("list.csv:2: expected one of the 3"), bit::format_error);
  }
  SUBCASE("what is wrong is told with its line") {
    write_text(list, "path,label\n\nim/0.jpg,a\nim/7.jpg,b\n");
    CHECK_THROWS_WITH_AS(open_csv(list), doctest::Contains("list.csv:4: expected an image file at"), bit::format_error);
    write_text(list, "im/0.jpg\n");
    CHECK_THROWS_WITH_AS(open_csv(list), doctest::Contains("a separator between them"), bit::format_error);
    write_text(list, "im/0.jpg,\n");
    CHECK_THROWS_WITH_AS(open_csv(list), doctest::Contains("got an empty one"), bit::format_error);
    write_text(list, "im/0.jpg,a\n\"im/1.jpg,b\n\n");
    CHECK_THROWS_WITH_AS(open_csv(list), doctest::Contains("list.csv:2: a quote is not closed"), bit::format_error);
    for (const char* empty : {"", "path,label\n", "\n\n"}) {
      write_text(list, empty);
      CHECK_THROWS_WITH_AS(open_csv(list), doctest::Contains("found none"), bit::format_error);
    }
    CHECK_THROWS_AS(open_csv(folder.path / "nowhere.csv"), bit::io_error);
  }
  SUBCASE("blanks, separators and usual headers are recognised") {
    for (const char* text : {"im/0.jpg, cat\nim/1.jpg , dog \n", "file_name;label\nim/0.jpg;cat\nim/1.jpg;dog\n",
                             "im/0.jpg\tcat\nim/1.jpg\tdog", "target|path\ncat|im/0.jpg\n  \ndog|im/1.jpg\n",
                             "im\\0.jpg,\"cat\" \nim\\1.jpg, \"dog\"\n"}) {
      write_text(list, text);
      CAPTURE(text);
      const auto set = open_csv(list);
      CHECK(set->class_names() == std::vector<std::string>{"cat", "dog"});
      CHECK(labels_of(*set) == std::vector<std::size_t>{0, 1});
      CHECK(set->image(1).shape(1) == 56);
    }
    write_text(list, "im/0.jpg,\" cat\"\n");  // quoted blanks count
    CHECK(open_csv(list)->class_names() == std::vector<std::string>{" cat"});
  }
  SUBCASE("columns may be named, a header that lacks one says so") {
    write_text(list, "bild,grad,art\nim/0.jpg,1,cat\nim/1.jpg,2,dog\n");
    CHECK(open_csv(list, {.path_column = "bild", .label_column = "Art"})->class_names() ==
          std::vector<std::string>{"cat", "dog"});
    CHECK_THROWS_WITH_AS(open_csv(list), doctest::Contains("if this line is a header"), bit::format_error);
    write_text(list, "path,prob,type\nim/0.jpg,1,cat\n");
    CHECK_THROWS_WITH_AS(open_csv(list), doctest::Contains("list.csv:1: expected a header with a column of labels"),
                         bit::format_error);
    CHECK_THROWS_WITH_AS(open_csv(list, {.label_column = "kind"}),
                         doctest::Contains("got the columns path, prob, type"), bit::format_error);
    CHECK(open_csv(list, {.label_column = "type"})->class_names() == std::vector<std::string>{"cat"});
  }
  SUBCASE("encodings are told or asked for") {
    write_text(list, "im/0.jpg,cat\nim/1.jpg,caf\xe9\n");
    CHECK_THROWS_WITH_AS(open_csv(list), doctest::Contains("list.csv:2: expected UTF-8, found the byte \\xe9"),
                         bit::format_error);
    CHECK(open_csv(list, {.encoding = "cp1252"})->class_names() == std::vector<std::string>{"caf\xc3\xa9", "cat"});
    write_text(list, "im/0.jpg,\x80\n");
    CHECK(open_csv(list, {.encoding = "cp1252"})->class_names() ==
          std::vector<std::string>{"\xe2\x82\xac"});  // the euro sign
    write_text(list, std::string("\xff\xfei\0m\0/\0"
                                 "0\0.\0j\0p\0g\0,\0\xe9\0",
                                 22));
    CHECK(open_csv(list)->class_names() == std::vector<std::string>{"\xc3\xa9"});
    write_text(list, "im/0.jpg,cat\n");
    CHECK_THROWS_AS(open_csv(list, {.encoding = "utf-7"}), bit::config_error);
  }
}
