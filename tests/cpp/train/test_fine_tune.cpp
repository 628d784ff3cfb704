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
  for (const auto& p : model.parameters()) all.insert(all.end(), p.value.begin(), p.value.end());
  return all;
}

/// Trains a fresh model and returns its parameters.
std::vector<float> tuned(const data::dataset_split& split, const fine_tune_options& options,
                         const fine_tune_callbacks& callbacks = {}) {
  auto model = fresh_model(3);
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
  for (const auto habits : {compatibility::none, compatibility::pytorch, compatibility::jax}) {
    options.habits = habits;
    options.folder.clear();
    const auto whole = tuned(split, options);
    options.folder = folder / to_string(habits);
    std::size_t asked = 0;
    const auto stopped = tuned(split, options, {.should_stop = [&] { return ++asked > 3; }});
    CHECK(stopped != whole);
    CHECK(tuned(split, options) == whole);
  }
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
  for (const auto habits : {compatibility::none, compatibility::pytorch}) {
    options.habits = habits;
    std::vector<part_report> parts;
    std::vector<step_report> steps;
    tuned(split, options,
          {.on_part = [&](const part_report& r) { parts.push_back(r); },
           .on_step = [&](const step_report& r) { steps.push_back(r); }});
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
    CHECK(steps[3].loss == doctest::Approx(habits == compatibility::none ? by_images : alike).epsilon(1e-9));
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
