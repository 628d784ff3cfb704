// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/data/dataset.hpp>
#include <bit/train/loader_source.hpp>
#include <bit/train/sgd.hpp>
#include <bit/train/trainer.hpp>

#include "../scratch.hpp"
#include "logistic_regression.hpp"

using namespace bit::train;
namespace data = bit::data;

namespace {

/// One-pixel images whose colour leans to their class, so that the tiny model of this folder can learn them.
data::dataset_ptr colours(std::size_t n) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::size_t> labels;
  for (std::size_t i = 0; i < n; ++i) {
    labels.push_back(i % 3);
    for (std::size_t c = 0; c < 3; ++c)
      pixels.push_back(static_cast<std::uint8_t>((i * 37 + c * 11) % 90 + (c == i % 3 ? 160 : 0)));
  }
  return std::make_shared<data::memory_dataset>(pixels, 1, 1, labels, std::vector<std::string>{"r", "g", "b"},
                                                "colours");
}

const data::augment_spec spec{.resize = 1, .crop = 1};

/// Everything of a run; a second one is a second process's.
struct run {
  logistic_regression model{3, 3};
  sgd by{model.parameters()};
  loader_source images;
  trainer_options options;

  explicit run(std::size_t parts = 1, double alpha = 0.3) : images(colours(17), sampler(17, 6, 1), spec, 2) {
    options.rate = [](std::size_t step) { return step < 20 ? std::optional(0.2) : std::nullopt; };
    options.batch_split = parts;
    options.mix = mixup_of(alpha, mixup_partner::permuted, 3, parts);
    options.save_seconds = 0;
  }
};

}  // namespace

TEST_CASE("the trainer learns from the loader, and goes on after an interrupt at any step to the same bits") {
  for (std::size_t parts : {1u, 3u}) {
    run whole(parts);
    const auto result = train(whole.model, whole.by, whole.images, whole.options);
    CHECK(result.step == 20);
    CHECK(*result.loss < 0.95);
    for (std::size_t stop : {1u, 2u, 7u, 19u}) {
      const scratch_folder folder;
      run first(parts), second(parts);
      std::size_t done = 0;
      first.options.folder = second.options.folder = folder.path();
      first.options.should_stop = [&] { return done++ == stop; };
      CHECK(train(first.model, first.by, first.images, first.options).interrupted);
      CHECK(first.model.values() != whole.model.values());
      CHECK(train(second.model, second.by, second.images, second.options).first_step == stop);
      CHECK(second.model.values() == whole.model.values());
    }
  }
}

TEST_CASE("parts of a step are the step's images, from wherever reading starts") {
  loader_source images(colours(17), sampler(17, 6, 1), spec, 2);
  std::vector<std::vector<float>> expected;
  for (std::size_t step = 0; step < 6; ++step) {
    const auto batch = images.read(step, 0, 1);
    CHECK(batch.size() == images.size(step));
    expected.emplace_back(batch.images.data(), batch.images.data() + batch.images.size());
  }
  CHECK(images.size(2) == 5);
  for (std::size_t step : {4u, 2u, 0u, 5u}) {
    std::vector<float> joined;
    for (std::size_t part = 0; part < 8; ++part) {  // more parts than images: some are empty
      const auto batch = images.read(step, part, 8);
      joined.insert(joined.end(), batch.images.data(), batch.images.data() + batch.images.size());
    }
    CHECK(joined == expected[step]);
  }
  const auto late = images.read(3, 2, 3);
  CHECK(std::equal(late.images.data(), late.images.data() + late.images.size(),
                   expected[3].end() - static_cast<std::ptrdiff_t>(late.images.size())));
}

TEST_CASE("micro-batches of their own follow each other as the sampler's batches") {
  sampler order(17, 6, 1);
  loader_source images(colours(17), order, spec, 2, {}, 2);
  CHECK(images.size(0) == 12);
  CHECK(images.size(1) == 5 + 6);
  CHECK(images.read(1, 0, 2).size() == 5);
  std::vector<std::int64_t> labels;
  for (std::size_t i : order.batch(3)) labels.push_back(static_cast<std::int64_t>(i % 3));
  CHECK(images.read(1, 1, 2).labels == labels);
  CHECK_THROWS_AS(images.read(2, 0, 1), bit::config_error);
}

TEST_CASE("the mixup hook uses one weight per step and new partners per part") {
  const auto mix = mixup_of(0.5, mixup_partner::permuted, 3, 2);
  CHECK(!mixup_of(0, mixup_partner::permuted, 3, 2));
  micro_batch a, b;
  a.images = b.images = xt::ones<float>({40, 1, 1, 1});
  for (std::int64_t i = 0; i < 40; ++i) {
    a.labels.push_back(i);
    b.labels.push_back(i);
    a.images.data()[i] = b.images.data()[i] = static_cast<float>(i);
  }
  mix(5, 0, a);
  mix(5, 1, b);
  CHECK(a.weight == b.weight);
  CHECK(a.weight == mixup_lambda(0.5, 3, 5));
  CHECK(a.partners != b.partners);
  for (std::size_t i = 0; i < 40; ++i)
    CHECK(a.images.data()[i] ==
          doctest::Approx(a.weight * static_cast<double>(i) + (1 - a.weight) * static_cast<double>(a.partners[i])));
}
