// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/error.hpp>
#include <bit/train.hpp>
#include <bit/train/recipe.hpp>

#include "tuning.hpp"

using namespace bit::train;
namespace data = bit::data;

TEST_CASE("a recipe without options is BiT-HyperRule, and says no more than that its set is small") {
  const auto set = images(30, 3, 24);
  auto model = fresh_model(3);
  const recipe plan = resolve({.memory_limit = std::uint64_t{64} << 30}, *set, model);
  CHECK(plan.rule.resolution == training_resolution{160, 128});
  CHECK(plan.rule.schedule == std::vector<std::size_t>{100, 200, 300, 400, 500});
  CHECK(plan.batch == 512);
  CHECK(plan.batch_split == 1);
  CHECK(plan.departures.empty());
  CHECK(to_string(plan).find("batch       512, more than the set has") != std::string::npos);
}

TEST_CASE("what is not the rule's is said") {
  const auto set = images(30, 3, 24);
  auto model = fresh_model(3);
  fine_tune_options options = tiny_options();
  options.steps = 20;
  options.mixup_alpha = 0.2;
  options.sgd.parameters.weight_decay = 1e-4;
  const recipe plan = resolve(options, *set, model);
  CHECK(plan.rule.schedule == std::vector<std::size_t>{4, 8, 12, 16, 20});
  const auto says = [&](const std::string& what) {
    return std::any_of(plan.departures.begin(), plan.departures.end(),
                       [&](const std::string& s) { return s.find(what) != std::string::npos; });
  };
  for (const char* what : {"base_lr 0.01 instead of 0.003", "batch 4 instead of 512", "schedule 4,8,12,16,20",
                           "resize 36, crop 32 instead of 160, 128", "mixup alpha 0.2 instead of 0", "weight decay"})
    CHECK_MESSAGE(says(what), what);
  CHECK_FALSE(says("momentum"));
}

TEST_CASE("a schedule scaled to few steps still rises") {
  auto model = fresh_model(3);
  const auto set = images(6, 3, 24);
  fine_tune_options options = tiny_options();
  for (std::size_t steps = 1; steps < 8; ++steps) {
    options.steps = steps;
    const auto plan = resolve(options, *set, model);
    CHECK(plan.rule.schedule.back() == steps);
    CHECK(plan.rule.lr(steps - 1));
  }
}

TEST_CASE("a step is split until it fits the memory, and no further") {
  auto model = fresh_model(3);
  const auto set = images(30, 3, 24);
  fine_tune_options options;
  options.resolution = training_resolution{64, 64};
  options.batch = 64;
  options.loader.max_ahead_bytes = 1 << 20;
  options.memory_limit = std::uint64_t{64} << 30;
  const auto whole = resolve(options, *set, model).memory;
  // As much as parameters and a third of the maps take: two parts do not fit, four do.
  options.memory_limit = whole.total() - whole.workspace / 3 * 2;
  const auto split = resolve(options, *set, model);
  CHECK(split.batch_split == 4);
  CHECK(split.memory.total() <= options.memory_limit);
  CHECK(split.training.recompute == bit::recomputation::none);
  options.recompute = bit::recomputation::units;  // takes less: fewer parts
  options.memory_limit = whole.total() - whole.workspace / 5;
  const auto again = resolve(options, *set, model);
  CHECK(again.batch_split == 1);
  CHECK(to_string(again).find("batch       64, units recomputed") != std::string::npos);
  options.recompute = std::nullopt;
  options.memory_limit = whole.total() - whole.workspace / 3 * 2;
  options.batch_split = 2;
  const auto chosen = resolve(options, *set, model);
  CHECK(chosen.batch_split == 2);
  CHECK(chosen.departures.back().find("more than the limit") != std::string::npos);
  options.batch_split = std::nullopt;
  options.memory_limit = whole.parameters;
  CHECK_THROWS_WITH_AS(resolve(options, *set, model), doctest::Contains("one image at a time needs about"),
                       bit::config_error);
  options.batch_split = 65;
  CHECK_THROWS_AS(resolve(options, *set, model), bit::config_error);
}

TEST_CASE("compat: where the reference's three programs differ") {
  auto model = fresh_model(3);
  const auto set = images(30, 3, 24);
  fine_tune_options options = tiny_options();
  options.steps = 20;
  options.eval_every = 6;
  const auto with = [&](compat_mode compat) {
    options.compat = compat;
    return resolve(options, *set, model);
  };
  const auto pytorch = with(compat_mode::pytorch), jax = with(compat_mode::jax), tf2 = with(compat_mode::tf2);
  CHECK(pytorch.augmentation.flip == data::flip_mode::random);
  CHECK(pytorch.end == epoch_end::short_batch);
  for (const auto& plan : {jax, tf2}) {
    CHECK(plan.augmentation.flip == data::flip_mode::always);
    CHECK(plan.augmentation.method == data::resampling::tf);
    CHECK(plan.end == epoch_end::carry_over);
    CHECK(plan.partner == mixup_partner::reversed);
  }
  CHECK(jax.steps == 20);
  CHECK(tf2.steps == 18);
  options.flip = data::flip_mode::never;
  CHECK(with(compat_mode::jax).augmentation.flip == data::flip_mode::never);
}

TEST_CASE("a model of other classes, and sets that cannot be trained on, are refused") {
  auto model = fresh_model(4);
  CHECK_THROWS_WITH_AS(resolve(tiny_options(), *images(30, 3, 24), model), doctest::Contains("3 classes, got"),
                       bit::config_error);
  auto fitting = fresh_model(3);
  CHECK_THROWS_AS(resolve(tiny_options(), *images(2, 3, 24), fitting), bit::config_error);  // one class is empty
}

TEST_CASE("flags change with what changes results, and with nothing else") {
  auto model = fresh_model(3);
  const auto set = images(30, 3, 24), other = images(33, 3, 24);
  fine_tune_options options = tiny_options();
  const auto flags = [&](const data::dataset& of) { return flags_of(resolve(options, of, model), options, of); };
  const auto before = flags(*set);
  CHECK(flags(*other) != before);
  options.eval_every = 3;
  options.threads = 1;
  options.save_seconds = 1;
  CHECK(flags(*set) == before);
  options.base_lr = std::nextafter(options.base_lr, 1.0);  // the smallest difference counts
  CHECK(flags(*set) != before);
}
