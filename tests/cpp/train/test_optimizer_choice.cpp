// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/train/fine_tune.hpp>
#include <bit/train/optimizer_choice.hpp>
#include <bit/train/time_estimate.hpp>

#include "../scratch.hpp"
#include "tuning.hpp"

using namespace bit::train;
namespace data = bit::data;

namespace {

/// Trains a fresh model and returns its parameters, or stops before step `stop`.
std::vector<float> tuned(const data::dataset_split& split, const fine_tune_options& options, std::size_t stop = 1000) {
  auto model = fresh_model(3);
  std::size_t asked = 0;
  fine_tune(model, split, options, resolve(options, *split.train, model),
            {.should_stop = [&] { return asked++ == stop; }});
  std::vector<float> all;
  for (std::size_t i = 0; i < model.parameters().size(); ++i)
    for (const float v : model.parameters().values(i)) all.push_back(v);
  return all;
}

bool says(const recipe& plan, const std::string& what) {
  return std::any_of(plan.departures.begin(), plan.departures.end(),
                     [&](const std::string& s) { return contains(s, what); });
}

}  // namespace

TEST_CASE("a stopped run of AdamW, or of sigmoid losses, ends with the bits of one that was not") {
  const scratch_folder folder;
  const data::dataset_split split{images(11, 3, 24), nullptr};
  for (const bool sigmoid : {false, true}) {
    fine_tune_options options = tiny_options();
    options.schedule = {1, 6};
    options.base_lr = 1e-3;
    if (sigmoid) {
      options.loss = training_loss::sigmoid;
      options.mixup_alpha = 0.3;
      options.label_smoothing = 0.1;
    } else {
      options.adam = adam_options{.decoupled = true, .parameters = {.weight_decay = 0.01}};
    }
    const auto whole = tuned(split, options);
    options.folder = folder / (sigmoid ? "sigmoid" : "adamw");
    CHECK(tuned(split, options, 3) != whole);
    CHECK(tuned(split, options) == whole);
  }
}

TEST_CASE("a run of another optimizer or loss is refused") {
  const scratch_folder folder;
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.schedule = {1, 4};
  options.adam = adam_options{};
  options.folder = folder / "run";
  tuned(split, options, 1);
  auto other = options;
  other.adam->beta2 = 0.99;
  CHECK_THROWS_WITH_AS(tuned(split, other), doctest::Contains("betas: 0.9,0.999 there, 0.9,0.99 here"),
                       bit::config_error);
  other = options;
  other.adam->decoupled = true;
  CHECK_THROWS_WITH_AS(tuned(split, other), doctest::Contains("optimizer: adam there, adamw here"), bit::config_error);
  other = options;
  other.adam.reset();
  CHECK_THROWS_AS(tuned(split, other), bit::config_error);
  other = options;
  other.loss = training_loss::sigmoid;
  CHECK_THROWS_WITH_AS(tuned(split, other), doctest::Contains("loss"), bit::config_error);
}

TEST_CASE("the rules of the chosen optimizer count") {
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.schedule = {1, 3};
  options.sgd.parameters.train = {"nothing*"};  // sgd's, which is not chosen
  options.adam = adam_options{.parameters = {.train = {"resnet/head/*"}, .groups = {{"*/bias", 0.0}}}};
  auto model = fresh_model(3);
  const auto plan = resolve(options, *split.train, model);
  CHECK(says(plan, "adam with betas 0.9 and 0.999 instead of sgd"));
  CHECK(says(plan, "not all layers learn"));
  CHECK(says(plan, "*/bias learns at 0 times the rate"));
  fine_tune(model, split, options, plan);
  const auto before = fresh_model(3);
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const std::string& name = model.parameters().specs()[i].name;
    const bool changed = model.parameters().values(i) != before.parameters().values(i);
    CHECK_MESSAGE(changed == (name == "resnet/head/conv2d/kernel"), name);
  }
}

TEST_CASE("a sigmoid loss has mixed and smoothed labels as targets") {
  // A head of zeros: every probability is 1/2, so the loss of each class is log 2 whatever the targets; a step's
  // reported loss shows that the sum over the classes is taken.
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.schedule = {1, 2};
  options.loss = training_loss::sigmoid;
  options.mixup_alpha = 0.5;
  std::vector<double> losses;
  auto model = fresh_model(3);
  fine_tune(model, split, options, resolve(options, *split.train, model),
            {.on_step = [&](const update_report& r) { losses.push_back(r.loss); }});
  REQUIRE(losses.size() == 2);
  CHECK(losses[0] == doctest::Approx(3 * std::log(2.0)));

  micro_batch batch;
  batch.labels = {2};
  batch.partners = {0};
  batch.weight = 0.75;
  const std::vector<float> logits{0.5f, -1, 2};
  std::vector<float> gradient(3), expected(3);
  const double loss =
      bit::evaluate_loss<float>(bit::detail::make_loss(batch, training_loss::sigmoid, 0.3), logits, gradient, 1, 3);
  // (1-s)·weight + s/classes
  const std::vector<double> targets{0.7 * 0.25 + 0.1, 0.1, 0.7 * 0.75 + 0.1};
  CHECK(loss == doctest::Approx(
                    bit::evaluate_loss<float>(bit::sigmoid_cross_entropy{.targets = targets}, logits, expected, 1, 3))
                    .epsilon(1e-6));
  for (std::size_t k = 0; k < 3; ++k) CHECK(gradient[k] == doctest::Approx(expected[k]).epsilon(1e-5));
  CHECK_THROWS_AS(
      bit::evaluate_loss<float>(bit::detail::make_loss(batch, training_loss::sigmoid, 1.5), logits, gradient, 1, 3),
      bit::config_error);
}

TEST_CASE("an estimate of the time adds up, and the recipe tells it") {
  const auto set = images(30, 3, 24);
  auto model = fresh_model(3);
  fine_tune_options options = tiny_options();
  options.schedule = {1, 100};
  options.eval_every = 20;
  auto plan = resolve(options, *set, model);
  CHECK_FALSE(contains(to_string(plan), "time  "));
  const auto time = estimate_time(plan, options, model, 50);
  CHECK(time.step > 0);
  CHECK(time.evaluation > 0);
  CHECK(time.total == doctest::Approx(100 * time.step + 5 * time.evaluation));
  CHECK(estimate_time(plan, options, model).evaluation == 0);
  plan.time = time_estimate{0.25, 3, 7300};
  CHECK(contains(to_string(plan), "time        about 2.0 h, 0.25 s a step"));
}

TEST_CASE("a run can be distilled from a teacher, which sees what the student sees, and is resumed to the same bits") {
  const scratch_folder folder;
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.schedule = {1, 6};
  options.mixup_alpha = 0.3;
  options.temperature = 2;
  std::size_t seen = 0;
  options.teacher = [&](const bit::image_view<float>& x, float* out) {
    seen += x.dims.n;
    for (std::size_t i = 0; i < x.dims.n; ++i)
      for (std::size_t k = 0; k < 3; ++k) out[3 * i + k] = 4 * x.at(i, k, 16, 16);  // the brightest colour
  };
  auto model = fresh_model(3);
  CHECK(says(resolve(options, *split.train, model), "distilled from a teacher at temperature 2"));
  const auto whole = tuned(split, options);
  CHECK(seen == 4 + 4 + 3 + 4 + 4 + 3);
  options.folder = folder / "run";
  CHECK(tuned(split, options, 3) != whole);
  CHECK(tuned(split, options) == whole);
  auto other = options;
  other.temperature = 3;
  CHECK_THROWS_WITH_AS(tuned(split, other), doctest::Contains("temperature: 2 there, 3 here"), bit::config_error);
  other = options;
  other.teacher = nullptr;
  CHECK_THROWS_WITH_AS(tuned(split, other), doctest::Contains("loss: distillation there"), bit::config_error);
  other = options;
  other.label_smoothing = 0.1;
  CHECK_THROWS_WITH_AS(tuned(split, other), doctest::Contains("a teacher takes the place of labels"),
                       bit::config_error);
}

TEST_CASE("memory counts the state that the optimizer keeps: none without momentum, two buffers for Adam") {
  const auto set = images(11, 3, 24);
  auto model = fresh_model(3);
  fine_tune_options options = tiny_options();
  const auto bytes = [&] { return resolve(options, *set, model).memory.parameters; };
  const auto momentum = bytes();
  options.sgd.momentum = 0;
  const auto plain = bytes();
  options.adam = adam_options{};
  CHECK(2 * (momentum - plain) == bytes() - plain);
  CHECK(plain == 2 * (momentum - plain));  // values and gradients
}
