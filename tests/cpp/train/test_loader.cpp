// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/data/image_folder.hpp>
#include <bit/error.hpp>
#include <bit/train/loader.hpp>
#include <filesystem>
#include <fstream>
#include <set>

using namespace bit::train;
namespace data = bit::data;

namespace {

/// A folder of one test, removed at its end.
struct image_files {
  std::filesystem::path path;
  explicit image_files(const std::string& name) : path(std::filesystem::temp_directory_path() / ("bit_" + name)) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~image_files() { std::filesystem::remove_all(path); }
};

const data::augment_spec small{.resize = 10, .crop = 8};

/// `count` images of different sizes and pixels, label i % 3.
data::dataset_ptr files(const std::filesystem::path& folder, std::size_t count) {
  const char* names[] = {"baseline.jpg", "rgb.png", "lossless.webp", "rgb.bmp", "progressive.jpg"};
  std::vector<std::filesystem::path> paths;
  std::vector<std::size_t> labels;
  for (std::size_t i = 0; i < count; ++i) {
    paths.push_back(folder / (std::to_string(i) + "_" + names[i % 5]));
    std::filesystem::copy_file(std::filesystem::path(BIT_TEST_DATA) / "fuzz/corpus/image" / names[i % 5], paths.back());
    labels.push_back(i % 3);
  }
  return std::make_shared<data::file_dataset>(paths, labels, std::vector<std::string>{"a", "b", "c"});
}

std::vector<labelled_batch> all_of(batch_loader& loader) {
  std::vector<labelled_batch> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

bool same(const labelled_batch& a, const labelled_batch& b) {
  return a.number == b.number && a.images == b.images && a.labels == b.labels && a.indices == b.indices;
}

void spoil(const data::dataset& images, std::size_t i) { std::ofstream(images.name(i), std::ios::trunc) << "no image"; }

}  // namespace

TEST_CASE("batches are what sampler and augmentation say, for any number of threads, from any batch on") {
  const image_files folder("train_loader");
  const auto images = files(folder.path, 11);
  for (auto end : {epoch_end::short_batch, epoch_end::carry_over}) {
    const sampler order(11, 4, 5, {.end = end});
    batch_loader plain(images, order, small, 6, 0, 9, {.threads = 1, .prefetch = 1});
    const auto expected = all_of(plain);
    REQUIRE(expected.size() == 9);
    sampler again = order;
    for (const auto& batch : expected) {
      CHECK(batch.indices == again.batch(batch.number));
      for (std::size_t i = 0; i < batch.indices.size(); ++i) {
        CHECK(batch.labels[i] == static_cast<std::int64_t>(batch.indices[i] % 3));
        std::vector<float> one(3 * 8 * 8);
        augment(images->image(batch.indices[i]), small,
                data::draw_augmentation(small, 6, order.first_draw(batch.number) + i), one);
        CHECK(std::equal(one.begin(), one.end(), batch.images.data() + one.size() * i));
      }
    }
    for (std::size_t threads : {2u, 5u}) {
      for (std::uint64_t first : {0u, 2u, 4u, 8u, 9u}) {
        batch_loader loader(images, order, small, 6, first, 9, {.threads = threads, .prefetch = 3});
        const auto batches = all_of(loader);
        REQUIRE(batches.size() == 9 - first);
        for (std::size_t b = 0; b < batches.size(); ++b) CHECK(same(batches[b], expected[first + b]));
        CHECK_FALSE(loader.next());
      }
    }
    batch_loader other(images, order, small, 7, 0, 9);
    CHECK_FALSE(same(*other.next(), expected[0]));  // another seed augments differently
  }
}

TEST_CASE("parts of batches are the batches") {
  const image_files folder("train_parts");
  const auto images = files(folder.path, 7);
  const sampler order(7, 5, 5);
  batch_loader whole(images, order, small, 6, 0, 4), parts(images, order, small, 6, 0, 4);
  while (const auto expected = whole.next()) {
    std::size_t seen = 0;
    for (std::size_t count : {2u, 0u, 1u, 9u}) {
      if (seen == expected->indices.size()) break;  // the batch of 2
      const auto part = parts.part(count);
      CHECK(part.number == expected->number);
      CHECK(part.images.shape(0) == part.labels.size());
      for (std::size_t i = 0; i < part.labels.size(); ++i, ++seen) {
        CHECK(part.indices[i] == expected->indices[seen]);
        CHECK(part.labels[i] == expected->labels[seen]);
        CHECK(std::equal(part.images.data() + 192 * i, part.images.data() + 192 * (i + 1),
                         expected->images.data() + 192 * seen));
      }
    }
    CHECK(seen == expected->indices.size());
  }
  CHECK_THROWS_WITH_AS(parts.part(1), doctest::Contains("below 4"), bit::config_error);
  batch_loader mixed(images, order, small, 6, 0, 4);
  CHECK(mixed.part(3).indices.size() == 3);
  CHECK(mixed.next()->indices.size() == 2);  // what is left of the first
  CHECK(mixed.next()->number == 1);
}

TEST_CASE("the same image is cropped and mirrored anew in each epoch") {
  const image_files folder("train_epochs");
  const auto images = files(folder.path, 1);
  batch_loader loader(images, sampler(1, 1, 0), {.resize = 16, .crop = 8}, 1, 0, 20);
  std::set<std::vector<float>> seen;
  for (const auto& batch : all_of(loader)) seen.insert({batch.images.data(), batch.images.data() + 192});
  CHECK(seen.size() > 15);
}

TEST_CASE("a small bound on memory changes nothing but how far ahead threads work") {
  const image_files folder("train_memory");
  const auto images = files(folder.path, 9);
  batch_loader roomy(images, sampler(9, 6, 1), small, 1, 0, 5);
  batch_loader tight(images, sampler(9, 6, 1), small, 1, 0, 5, {.threads = 2, .max_ahead_bytes = 1});
  const auto a = all_of(roomy), b = all_of(tight);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(same(a[i], b[i]));
}

TEST_CASE("an image that cannot be read stops the run by name, or is left out and counted") {
  const image_files folder("train_corrupt");
  const auto images = files(folder.path, 8);
  spoil(*images, 5);
  const sampler order(8, 3, 0, {.order = sample_order::sequential});
  batch_loader strict(images, order, small, 0, 0, 3);
  CHECK(strict.next()->indices == std::vector<std::size_t>{0, 1, 2});
  std::string text;
  try {
    strict.next();
  } catch (const bit::format_error& e) {
    text = e.what();
  }
  CHECK(text.find("5_baseline.jpg") != std::string::npos);
  CHECK(text.ends_with("; mend or remove it, or let skip_corrupt leave out such images"));
  CHECK_FALSE(strict.next());

  batch_loader tolerant(images, order, small, 0, 0, 3, {.skip_corrupt = true});
  const auto batches = all_of(tolerant);
  REQUIRE(batches.size() == 3);
  CHECK(batches[1].indices == std::vector<std::size_t>{3, 4});
  CHECK(batches[1].images.shape(0) == 2);
  CHECK(batches[2].indices == std::vector<std::size_t>{6, 7});
  REQUIRE(tolerant.skipped().size() == 1);
  CHECK(tolerant.skipped()[0].batch == 1);
  CHECK(tolerant.skipped()[0].index == 5);
  CHECK(tolerant.skipped()[0].name == images->name(5));
  CHECK(tolerant.skipped()[0].reason.find("5_baseline.jpg") != std::string::npos);

  spoil(*images, 3);
  spoil(*images, 4);
  batch_loader hopeless(images, order, small, 0, 0, 3, {.skip_corrupt = true});
  CHECK(hopeless.next());
  CHECK_THROWS_WITH_AS(hopeless.next(), doctest::Contains("batch 1, could read none of its 3"), bit::format_error);
}

TEST_CASE("a loader that is dropped early ends at once") {
  const image_files folder("train_dropped");
  const auto images = files(folder.path, 5);
  batch_loader unused(images, sampler(5, 4, 0), small, 0, 0, 1'000'000'000, {.threads = 3});
  batch_loader started(images, sampler(5, 4, 0), small, 0, 0, 1'000'000'000, {.threads = 3});
  CHECK(started.next());
  CHECK(started.waited_seconds() >= 0);
}

TEST_CASE("impossible options are refused") {
  const image_files folder("train_options");
  const auto images = files(folder.path, 5);
  CHECK_THROWS_AS(batch_loader(images, sampler(6, 4, 0), small, 0, 0, 1), bit::config_error);
  CHECK_THROWS_AS(batch_loader(images, sampler(5, 4, 0), small, 0, 2, 1), bit::config_error);
  CHECK_THROWS_AS(batch_loader(images, sampler(5, 4, 0), small, 0, 0, 1, {.prefetch = 0}), bit::config_error);
  CHECK_THROWS_AS(batch_loader(images, sampler(5, 4, 0), {.resize = 4, .crop = 8}, 0, 0, 1), bit::config_error);
  batch_loader empty(images, sampler(5, 4, 0), small, 0, 3, 3);
  CHECK_FALSE(empty.next());
}
