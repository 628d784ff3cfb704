// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/error.hpp>
#include <bit/io/load.hpp>
#include <bit/train.hpp>
#include <bit/train/fine_tune.hpp>

#include "../scratch.hpp"
#include "tuning.hpp"

using namespace bit::train;
namespace data = bit::data;

namespace {

std::vector<float> values_of(tunable_model& model) {
  std::vector<float> all;
  for (std::size_t i = 0; i < model.parameters().size(); ++i)
    for (const float v : model.parameters().values(i)) all.push_back(v);
  return all;
}

/// Trains a fresh model and returns its parameters.
std::vector<float> tuned(const data::dataset_split& split, const fine_tune_options& options,
                         const fine_tune_callbacks& callbacks = {}, bit::dtype dtype = bit::dtype::float32) {
  auto model = fresh_model(3, dtype);
  fine_tune(model, split, options, resolve(options, *split.train, model), callbacks);
  return values_of(model);
}

}  // namespace

TEST_CASE("fine-tuning learns colours, and its best checkpoint is a model") {
  const scratch_folder folder;
  const data::dataset_split split{images(24, 3, 24), images(9, 3, 24)};
  fine_tune_options options = tiny_options();
  options.steps = 40;
  options.eval_every = 10;
  options.folder = folder / "run";
  auto model = fresh_model(3);
  const auto result = fine_tune(model, split, options, resolve(options, *split.train, model));
  CHECK(result.step == 40);
  REQUIRE(result.last_evaluation);
  CHECK(result.last_evaluation->examples == 9);
  CHECK(result.last_evaluation->top1 == 1.0);  // chance: 1/3
  CHECK(result.last_evaluation->top5 == 1.0);
  const auto saved = bit::io::open_checkpoint(options.folder / "best.safetensors");
  CHECK(saved.config.num_classes == 3);
  CHECK(saved.metadata.at("pybit").find("\"class 1\"") != std::string::npos);
  CHECK(saved.metadata.at("pybit").find("\"size\":32") != std::string::npos);
}

TEST_CASE("a run that was stopped ends with the bits of one that was not") {
  const scratch_folder folder;
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.steps = 8;
  options.mixup_alpha = 0.3;
  options.batch_split = 2;
  for (const auto compat : {compat_mode::none, compat_mode::pytorch, compat_mode::jax}) {
    options.compat = compat;
    options.folder.clear();
    const auto whole = tuned(split, options);
    options.folder = folder / to_string(compat);
    std::size_t asked = 0;
    const auto stopped = tuned(split, options, {.should_stop = [&] { return ++asked > 3; }});
    CHECK(stopped != whole);
    CHECK(tuned(split, options) == whole);
  }
}

TEST_CASE("a run in bfloat16 learns, resumes to the same bits, and is not continued in float32") {
  const scratch_folder folder;
  const data::dataset_split split{images(24, 3, 24), images(9, 3, 24)};
  fine_tune_options options = tiny_options();
  options.steps = 40;
  auto model = fresh_model(3, bit::dtype::bfloat16);
  const auto plan = resolve(options, *split.train, model);
  CHECK(plan.dtype == bit::dtype::bfloat16);
  CHECK(to_string(plan).find("bfloat16") != std::string::npos);
  const auto result = fine_tune(model, split, options, plan);
  REQUIRE(result.last_evaluation);
  CHECK(result.last_evaluation->top1 == 1.0);  // chance: 1/3

  options.steps = 8;
  const auto whole = tuned(split, options, {}, bit::dtype::bfloat16);
  CHECK(whole != tuned(split, options));
  // Values that bfloat16 does not hold: what learns is float32.
  CHECK(std::any_of(whole.begin(), whole.end(), [](float v) { return v != static_cast<float>(bit::bfloat16(v)); }));
  options.folder = folder / "run";
  std::size_t asked = 0;
  tuned(split, options, {.should_stop = [&] { return ++asked > 3; }}, bit::dtype::bfloat16);
  CHECK_THROWS_WITH_AS(tuned(split, options), doctest::Contains("dtype: bfloat16 there, float32 here"),
                       bit::config_error);
  CHECK(tuned(split, options, {}, bit::dtype::bfloat16) == whole);
}

TEST_CASE("a continued run takes the parts that it began with") {
  const scratch_folder folder;
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.steps = 2;
  options.batch_split = 4;
  options.folder = folder / "run";
  tuned(split, options);
  options.batch_split = std::nullopt;
  auto model = fresh_model(3);
  CHECK(resolve(options, *split.train, model).batch_split == 4);
  options.base_lr = 0.5;
  CHECK_THROWS_WITH_AS(tuned(split, options), doctest::Contains("base_lr: 0.01 there, 0.5 here"), bit::config_error);
}

TEST_CASE("a short micro-batch counts by its images, and as bit_pytorch as much as a full one") {
  const data::dataset_split split{images(7, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.batch_split = 2;
  options.schedule = {1, 4};
  for (const auto compat : {compat_mode::none, compat_mode::pytorch}) {
    options.compat = compat;
    std::vector<part_report> parts;
    std::vector<update_report> steps;
    tuned(split, options,
          {.on_part = [&](const part_report& r) { parts.push_back(r); },
           .on_step = [&](const update_report& r) { steps.push_back(r); }});
    REQUIRE(steps.size() == 4);
    REQUIRE(parts.size() == 8);
    // Step 3 has 3 images left of 7: parts of 1 and 2 images, or a batch of 2 and a short one of 1. (Until the first
    // update with a rate, after step 1, all losses are the same.)
    CHECK(steps[3].images == 3);
    const auto& a = parts[6];
    const auto& b = parts[7];
    CHECK(a.step == 3);
    CHECK(b.part == 1);
    const double by_images = (a.loss + 2 * b.loss) / 3, alike = (a.loss + b.loss) / 2;
    REQUIRE(std::abs(by_images - alike) > 1e-6);
    CHECK(steps[3].loss == doctest::Approx(compat == compat_mode::none ? by_images : alike).epsilon(1e-9));
  }
}

TEST_CASE("an evaluation counts every image once, whatever the batch") {
  const auto set = images(10, 3, 24);
  const data::augment_spec spec{.resize = 36, .crop = 32};
  std::vector<std::size_t> sizes;
  const auto logits = [&](const bit::image_view<float>& x, float* out) {
    sizes.push_back(x.dims.n);
    CHECK(x.dims.h == 32);
    for (std::size_t i = 0; i < x.dims.n; ++i)
      for (std::size_t k = 0; k < 3; ++k) out[3 * i + k] = 5 * x.at(i, k, 16, 16);  // the brightest colour
  };
  const auto whole = evaluate(logits, 3, set, spec, 10);
  const auto parts = evaluate(logits, 3, set, spec, 4);
  CHECK(sizes == std::vector<std::size_t>{10, 4, 4, 2});
  CHECK(parts.examples == 10);
  CHECK(parts.top1 == 1.0);
  CHECK(parts.loss == doctest::Approx(whole.loss).epsilon(1e-12));
  CHECK_THROWS_AS(evaluate(logits, 4, set, spec, 4), bit::config_error);
}

TEST_CASE("an evaluation hands out the logits of each image with its position") {
  const auto set = images(10, 3, 24);
  const auto numbered = [](const bit::image_view<float>& x, float* out) {
    for (std::size_t i = 0; i < 3 * x.dims.n; ++i) out[i] = static_cast<float>(i);
  };
  std::vector<std::size_t> seen, sizes;
  evaluation_callbacks hear;
  hear.on_batch = [&](const labelled_batch& batch, std::span<const float> logits) {
    seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
    sizes.push_back(logits.size());
    CHECK(logits.back() == static_cast<float>(logits.size() - 1));
  };
  const auto found = evaluate(numbered, 3, set, {.resize = 36, .crop = 32}, 4, {}, false, hear);
  CHECK(found.examples == 10);
  CHECK(found.pairs.empty());
  CHECK(seen == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(sizes == std::vector<std::size_t>{12, 12, 6});
}

TEST_CASE("recomputation changes no bit of a run, and a run may go on with it") {
  const scratch_folder folder;
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.steps = 5;
  options.recompute = bit::recomputation::none;
  const auto kept = tuned(split, options);
  options.recompute = bit::recomputation::units;
  CHECK(tuned(split, options) == kept);
  options.folder = folder / "run";
  std::size_t asked = 0;
  tuned(split, options, {.should_stop = [&] { return ++asked > 2; }});
  options.recompute = bit::recomputation::none;
  CHECK(tuned(split, options) == kept);
}

TEST_CASE("with a trained head alone all else stays, and the plan says so") {
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.steps = 3;
  options.sgd.parameters.train = {"resnet/head/*"};
  auto model = fresh_model(3);
  const auto before = values_of(model);
  const auto plan = resolve(options, *split.train, model);
  CHECK(plan.training.frozen.size() + 2 == model.parameters().size());
  fine_tune(model, split, options, plan);
  const auto after = values_of(model);
  const std::size_t head = model.parameters().specs()[model.parameters().size() - 2].size() + 3;
  const auto trunk = static_cast<std::ptrdiff_t>(before.size() - head);
  CHECK(std::equal(before.begin(), before.begin() + trunk, after.begin()));
  CHECK_FALSE(std::equal(before.begin() + trunk, before.end(), after.begin() + trunk));
  options.sgd.parameters.train.clear();
  // Gradients, momentum and kept maps of the trunk: 0.57 of the whole here.
  CHECK(3 * plan.memory.total() < 2 * resolve(options, *split.train, model).memory.total());
}

TEST_CASE("a head learns from features that were computed once as it does from the images") {
  const data::dataset_split split{images(17, 3, 24), images(6, 3, 24)};
  fine_tune_options options = tiny_options();
  options.steps = 12;
  options.resolution = training_resolution{32, 32};
  options.flip = data::flip_mode::never;
  options.sgd.parameters.train = {"resnet/head/*"};
  for (const auto compat : {compat_mode::none, compat_mode::pytorch}) {
    options.compat = compat;
    options.batch_split = 2;
    const auto run = [&](bool keep, std::vector<float>& values) {
      options.keep_features = keep;
      auto model = fresh_model(3);
      const auto plan = resolve(options, *split.train, model);
      CHECK(plan.keep_features == keep);
      const auto result = fine_tune(model, split, options, plan);
      const auto all = values_of(model);
      values.assign(all.end() - static_cast<std::ptrdiff_t>(3 * 1024 + 3), all.end());
      return result.last_evaluation.value();
    };
    std::vector<float> once, always;
    const auto kept = run(true, once), again = run(false, always);
    double difference = 0, largest = 0;
    for (std::size_t i = 0; i < once.size(); ++i) {
      difference = std::max<double>(difference, std::abs(once[i] - always[i]));
      largest = std::max<double>(largest, std::abs(always[i]));
    }
    CHECK(largest > 1e-3);
    CHECK(difference < 1e-4 * largest);  // features of another batch size round differently
    CHECK(kept.examples == 6);
    CHECK(kept.loss == doctest::Approx(again.loss).epsilon(1e-4));
  }
}

TEST_CASE("features are kept where nothing about the images is random, or where the caller says so") {
  const auto set = images(12, 3, 24);
  auto model = fresh_model(3);
  fine_tune_options options = tiny_options();
  const auto planned = [&] { return resolve(options, *set, model); };
  options.sgd.parameters.train = {"resnet/head/*"};
  CHECK_FALSE(planned().keep_features);  // random crops and flips
  options.keep_features = true;
  CHECK(planned().keep_features);
  CHECK(to_string(planned()).find("features computed once") != std::string::npos);
  CHECK(contains(planned().departures.back(), "no random crops and flips, no mixup"));
  options.mixup_alpha = 0.1;
  CHECK_THROWS_WITH_AS(planned(), doctest::Contains("expected a mixup_alpha of 0"), bit::config_error);
  options.mixup_alpha = 0;
  options.keep_features = std::nullopt;
  options.flip = data::flip_mode::never;
  options.resolution = training_resolution{32, 32};
  CHECK(planned().keep_features);
  options.sgd.parameters.train.clear();
  CHECK_FALSE(planned().keep_features);
  options.keep_features = true;
  CHECK_THROWS_WITH_AS(planned(), doctest::Contains("only if nothing but the head learns"), bit::config_error);
}
