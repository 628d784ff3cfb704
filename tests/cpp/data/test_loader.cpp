// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/data/loader.hpp>
#include <bit/error.hpp>

#include "pattern.hpp"

namespace {

using namespace bit::data;

const preprocess_spec small{.height = 8, .width = 8};

std::vector<std::filesystem::path> some_paths(std::size_t count) {
  const char* names[] = {"baseline.jpg", "rgb.png", "lossless.webp", "rgb.bmp", "progressive.jpg"};
  std::vector<std::filesystem::path> paths;
  for (std::size_t i = 0; i < count; ++i) paths.push_back(fixtures() / names[i % 5]);
  return paths;
}

}  // namespace

TEST_CASE("batches come in order and hold what preprocess gives, for any number of threads and any prefetch") {
  const auto paths = some_paths(23);
  std::vector<float> expected(23 * 192);
  for (std::size_t i = 0; i < 23; ++i)
    preprocess(read_image(paths[i]), small, std::span(expected).subspan(192 * i, 192));
  for (std::size_t threads : {1u, 2u, 5u, 40u}) {
    for (std::size_t prefetch : {1u, 3u, 1000u}) {
      image_loader loader(paths, small, {.batch_size = 4, .threads = threads, .prefetch = prefetch});
      CHECK(loader.size() == 23);
      std::size_t seen = 0;
      while (const auto batch = loader.next()) {
        REQUIRE(batch->images.shape(0) == batch->indices.size());
        CHECK(batch->indices.size() == (seen == 20 ? 3 : 4));
        CHECK(std::equal(batch->images.data(), batch->images.data() + batch->images.size(),
                         expected.data() + 192 * seen));
        for (std::size_t index : batch->indices) CHECK(index == seen++);
      }
      CHECK(seen == 23);
      CHECK_FALSE(loader.next());
    }
  }
}

TEST_CASE("a corrupt file throws when its turn comes and ends the walk") {
  const scratch_folder folder("corrupt");
  auto paths = some_paths(12);
  auto bytes = fixture("baseline.jpg");
  bytes.resize(bytes.size() / 2);
  write_bytes(folder.path / "half.jpg", bytes);
  paths[6] = folder.path / "half.jpg";
  paths[9] = folder.path / "missing.jpg";
  image_loader loader(paths, small, {.batch_size = 4, .threads = 3});
  CHECK(loader.next()->indices.size() == 4);
  CHECK_THROWS_AS(loader.next(), bit::format_error);
  CHECK_FALSE(loader.next());

  image_loader tolerant(paths, small, {.batch_size = 4, .threads = 3, .skip_corrupt = true});
  std::vector<std::size_t> indices;
  while (const auto batch = tolerant.next())
    indices.insert(indices.end(), batch->indices.begin(), batch->indices.end());
  CHECK(indices == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 7, 8, 10, 11});
  REQUIRE(tolerant.skipped().size() == 2);
  CHECK(tolerant.skipped()[0].index == 6);
  CHECK(tolerant.skipped()[0].reason.find("half.jpg") != std::string::npos);
  CHECK(tolerant.skipped()[1].path == paths[9]);
}

TEST_CASE("a loader that is dropped early joins its threads") {
  image_loader unused(some_paths(100), small, {.batch_size = 2, .threads = 4});
  image_loader started(some_paths(100), small, {.batch_size = 2, .threads = 4});
  CHECK(started.next()->indices.size() == 2);
}

TEST_CASE("no files, only corrupt files and impossible options") {
  image_loader empty({}, small);
  CHECK_FALSE(empty.next());
  image_loader corrupt({"/nowhere/a.png", "/nowhere/b.png"}, small, {.skip_corrupt = true});
  CHECK_FALSE(corrupt.next());
  CHECK(corrupt.skipped().size() == 2);
  CHECK_THROWS_AS(image_loader({}, small, {.batch_size = 0}), bit::config_error);
  CHECK_THROWS_AS(image_loader({}, {.height = 0}), bit::config_error);
}
