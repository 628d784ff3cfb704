// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/train/adam.hpp>
#include <bit/train/sgd.hpp>
#include <bit/train/trainer.hpp>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>

#include "../scratch.hpp"
#include "logistic_regression.hpp"

using namespace bit::train;

namespace {

constexpr std::size_t features = 6, classes = 3, steps = 12;

/// Everything that a run needs; a second one is a second process's.
struct run {
  logistic_regression model{features, classes};
  std::unique_ptr<optimizer> by = std::make_unique<sgd>(model.parameters());
  point_source data{17, features, classes};
  trainer_options options;

  run() {
    options.rate = [](std::size_t step) -> std::optional<double> {
      if (step >= steps) return std::nullopt;
      return step < 4 ? 0.1 * static_cast<double>(step) / 4 : 0.1;
    };
    options.save_seconds = 0;
    options.run.flags = {{"batch", "17"}};
    options.run.seed = 1;
  }
  training_result go() { return train(model, *by, data, options); }
  std::vector<std::vector<float>> state() {
    auto all = model.values();
    for (const auto& b : by->buffers()) all.push_back(by->values(b));
    return all;
  }
};

evaluation score(std::size_t step, double top1) { return {100, 1.0 / static_cast<double>(step + 1), top1, 1}; }

}  // namespace

TEST_CASE("the loop trains: the loss falls and classes are found") {
  run r;
  std::vector<double> losses;
  r.options.on_step = [&](const update_report& report) { losses.push_back(report.loss); };
  const auto result = r.go();
  CHECK(result.step == steps);
  CHECK(!result.interrupted);
  REQUIRE(losses.size() == steps);
  CHECK(losses.front() == doctest::Approx(std::log(3.0)));  // all logits are 0
  CHECK(losses.back() < 0.8);
  CHECK(*result.loss == losses.back());
  CHECK(r.model.parameters().version() == steps);
}

TEST_CASE("a short batch and any split weigh every image alike") {
  run whole, split, uneven;
  split.options.batch_split = 4;
  uneven.options.batch_split = 100;  // more than images: one image per part
  whole.go();
  split.go();
  uneven.go();
  const auto difference = [&](run& other) {
    double worst = 0;
    for (std::size_t i = 0; i < whole.model.values()[0].size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(whole.model.values()[0][i] - other.model.values()[0][i])));
    return worst;
  };
  // Values of about 0.5 after twelve steps whose sums were rounded in another order, 6e-8 each; one image of 17 weighed
  // as one of 16 moves them by more than 1e-4.
  CHECK(difference(split) < 2e-6);
  CHECK(difference(uneven) < 2e-6);
  CHECK(split.data.reads == 4 * steps);
}

TEST_CASE("parts of a step cover its images once, in order") {
  for (const std::size_t size : {0u, 1u, 7u, 512u})
    for (const std::size_t parts : {1u, 3u, 8u, 600u}) {
      std::size_t next = 0;
      for (std::size_t part = 0; part < parts; ++part) {
        const auto [first, count] = range_of_micro_batch(size, part, parts);
        CHECK(first == next);
        CHECK(count <= size / parts + 1);
        next += count;
      }
      CHECK(next == size);
    }
}

TEST_CASE("images that the source leaves out are made up for: a step is the mean over those that came") {
  struct leaving_out final : batch_source {
    std::size_t size(std::size_t) const override { return 10; }
    micro_batch read(std::size_t, std::size_t part, std::size_t parts) override {
      auto batch = points.read(0, part, parts);
      if (part == 0) return batch;
      batch.labels.clear();  // the second half cannot be read
      batch.images = bit::tensor4<float>::from_shape({0, features, 1, 1});
      return batch;
    }
    point_source points{10, features, classes};
  } data;
  run with_gap, without;
  for (run* r : {&with_gap, &without})
    r->options.rate = [](std::size_t step) { return step < 1 ? std::optional(0.5) : std::nullopt; };
  with_gap.options.batch_split = 2;
  with_gap.by = std::make_unique<sgd>(with_gap.model.parameters(), sgd_options{.clip_norm = 0.25});
  without.by = std::make_unique<sgd>(without.model.parameters(), sgd_options{.clip_norm = 0.25});
  const auto a = train(with_gap.model, *with_gap.by, data, with_gap.options);
  const auto first_half = data.read(0, 0, 2);
  const double loss =
      train_step(without.model, *without.by, first_half.view(), bit::cross_entropy{.labels = first_half.labels}, 0.5);
  CHECK(*a.loss == doctest::Approx(loss));
  for (std::size_t i = 0; i < features * classes; ++i)  // one factor of 2, exact, and its inverse
    CHECK(with_gap.model.values()[0][i] == doctest::Approx(without.model.values()[0][i]).epsilon(1e-6));
}

TEST_CASE("a run that stops after any step goes on to the same bits, momentum included") {
  for (const bool with_adam : {false, true}) {
    run whole;
    const auto prepare = [&](run& r) {
      if (with_adam) r.by = std::make_unique<adam>(r.model.parameters(), adam_options{.clip_norm = 0.5});
      r.options.batch_split = 2;
      r.options.mix = [](std::size_t step, std::size_t,
                         micro_batch& batch) {  // a function of the step, as every draw must be
        batch.partners = batch.labels;
        std::rotate(batch.partners.begin(), batch.partners.begin() + 1, batch.partners.end());
        batch.weight = 1 / (1 + static_cast<double>(step));
      };
    };
    prepare(whole);
    whole.go();
    for (std::size_t stop = 0; stop <= steps; ++stop) {
      const scratch_folder folder;
      run first, second;
      for (run* r : {&first, &second}) {
        prepare(*r);
        r->options.folder = folder / "run";
      }
      std::size_t asked = 0;
      first.options.should_stop = [&] { return asked++ == stop; };
      const auto result = first.go();
      CHECK(result.interrupted == (stop < steps));
      CHECK(result.step == stop);
      CHECK((first.state() == whole.state()) == (stop == steps));  // the comparison can fail
      const auto rest = second.go();
      CHECK(rest.first_step == stop);
      CHECK(rest.step == steps);
      CHECK(second.state() == whole.state());
    }
  }
}

TEST_CASE("evaluations come when they are due and at the end, the best is kept and survives a resume") {
  const scratch_folder folder;
  const std::vector<double> scores{0.5, 0.7, 0.6, 0.7, 0.65};
  std::vector<std::size_t> evaluated;
  const auto prepare = [&](run& r) {
    r.options.folder = folder.path();
    r.options.eval_every = 3;
    r.options.run.labels = {"a", "b", "c"};
    r.options.evaluate = [&](std::size_t step) {
      evaluated.push_back(step);
      return score(step, scores[step / 3]);
    };
  };
  run first;
  prepare(first);
  first.options.should_stop = [&] { return evaluated.size() == 2; };
  auto result = first.go();
  CHECK(evaluated == std::vector<std::size_t>{3, 6});
  CHECK(*result.best == 0.7);
  CHECK(result.best_step == 3);
  const std::string best = load(folder / "best.safetensors");
  run second;
  prepare(second);
  result = second.go();
  CHECK(evaluated == std::vector<std::size_t>{3, 6, 9, 12});
  CHECK(result.best_step == 3);  // 0.7 again is not better
  CHECK(result.last_evaluation->top1 == 0.65);
  CHECK(load(folder / "best.safetensors") == best);
  CHECK(read_training_state(folder / "best.safetensors").step == 3);
  CHECK(read_training_state(folder / "last.safetensors").step == 12);
}

TEST_CASE("a best found after the last save is in the file all the same") {
  const scratch_folder folder;
  run r;
  r.options.folder = folder.path();
  r.options.save_every = steps;
  r.options.evaluate = [](std::size_t step) { return score(step, 0.25); };
  r.go();
  CHECK(*read_training_state(folder / "last.safetensors").best == 0.25);
}

TEST_CASE("callbacks and the metrics file tell the same story") {
  const scratch_folder folder;
  run r;
  std::vector<std::string> files;
  r.options.folder = folder.path();
  r.options.eval_every = 6;
  r.options.evaluate = [](std::size_t step) { return score(step, static_cast<double>(step) / 100); };
  r.options.on_checkpoint = [&](std::size_t step, const std::filesystem::path& path) {
    files.push_back(std::to_string(step) + " " + path.filename().string());
  };
  std::size_t evaluations = 0;
  r.options.on_evaluation = [&](std::size_t, const evaluation&) { ++evaluations; };
  r.go();
  CHECK(evaluations == 2);
  CHECK(files == std::vector<std::string>{"6 best.safetensors", "6 last.safetensors", "12 best.safetensors",
                                          "12 last.safetensors"});
  const std::string log = load(folder / "metrics.jsonl");
  CHECK(
      log.starts_with("{\"event\":\"start\",\"step\":0,\"seed\":1}\n{\"event\":\"step\",\"step\":1,\"loss\":1.098612"));
  CHECK(contains(log, "{\"event\":\"evaluation\",\"step\":6,\"examples\":100,\"loss\":0.142857143,\"top1\":0.06,"));
  CHECK(contains(log, "{\"event\":\"checkpoint\",\"step\":12,\"file\":\"last.safetensors\"}\n"));
  CHECK(log.ends_with("{\"event\":\"end\",\"step\":12}\n"));
  CHECK(std::count(log.begin(), log.end(), '\n') == 1 + 12 + 2 + 4 + 1);
}

TEST_CASE("without a folder nothing is written, and time goes into phases") {
  run r;
  double loads = 0, gradients = 0, updates = 0;
  r.options.on_step = [&](const update_report& report) {
    CHECK(report.seconds.gradients > 0);
    CHECK(report.seconds.load > 0);
    CHECK(report.images == (report.step % 3 == 0 ? 14 : 17));
    loads += report.seconds.load;
    gradients += report.seconds.gradients;
    updates += report.seconds.update;
  };
  const auto begin = std::chrono::steady_clock::now();
  const auto result = r.go();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  CHECK(result.seconds.update > 0);
  CHECK(result.seconds.evaluate == 0);
  // The phases of all steps are the run's, and do not overlap.
  CHECK(result.seconds.load == doctest::Approx(loads));
  CHECK(result.seconds.gradients == doctest::Approx(gradients));
  CHECK(result.seconds.update == doctest::Approx(updates));
  CHECK(loads + gradients + updates <= taken.count());
}

TEST_CASE("the loss can be another one or the caller's own, and one step can be taken by hand") {
  struct own_loss final : bit::loss_function<float> {
    std::vector<std::int64_t> labels;
    explicit own_loss(const micro_batch& batch) : labels(batch.labels) {}
    double operator()(std::span<const float> logits, std::span<float> gradient, std::size_t n,
                      std::size_t count) const override {
      return bit::evaluate_loss<float>(bit::cross_entropy{.labels = labels, .smoothing = 0.5}, logits, gradient, n,
                                       count);
    }
  };
  run r, own, by_hand, own_by_hand, plain;
  r.options.loss = [](const micro_batch& batch) -> bit::loss {
    return bit::cross_entropy{.labels = batch.labels, .smoothing = 0.5};
  };
  own.options.own_loss = [](const micro_batch& batch) { return std::make_unique<own_loss>(batch); };
  for (run* each : {&r, &own, &plain}) {
    each->options.rate = [](std::size_t step) { return step < 1 ? std::optional(0.5) : std::nullopt; };
    each->go();
  }
  const auto batch = by_hand.data.read(0, 0, 1);
  const double loss = train_step(by_hand.model, *by_hand.by, batch.view(),
                                 bit::cross_entropy{.labels = batch.labels, .smoothing = 0.5}, 0.5);
  CHECK(loss == doctest::Approx(std::log(3.0)));
  CHECK(train_step(own_by_hand.model, *own_by_hand.by, batch.view(), own_loss(batch), 0.5) == loss);
  CHECK(by_hand.state() == r.state());
  CHECK(own.state() == r.state());
  CHECK(own_by_hand.state() == r.state());
  CHECK(plain.state() != r.state());
}

TEST_CASE("a part's weight multiplies its loss and its gradient, and reports tell the loss without it") {
  run twice, once;
  std::vector<double> losses, parts;
  twice.options.mix = [](std::size_t, std::size_t, micro_batch& batch) { batch.loss_weight = 2; };
  twice.options.on_part = [&](const part_report& report) { parts.push_back(report.loss); };
  twice.options.on_step = [&](const update_report& report) { losses.push_back(report.loss); };
  for (run* each : {&twice, &once})
    each->by = std::make_unique<sgd>(each->model.parameters(), sgd_options{.momentum = 0});
  const auto rate = once.options.rate;
  once.options.rate = [rate](std::size_t step) {
    const auto r = rate(step);
    return r ? std::optional(2 * *r) : std::nullopt;
  };
  twice.go();
  once.go();
  CHECK(twice.model.values() == once.model.values());  // a factor of 2 is exact wherever it stands
  REQUIRE(parts.size() == steps);
  for (std::size_t i = 0; i < steps; ++i) CHECK(losses[i] == 2 * parts[i]);
}

TEST_CASE("distillation trains towards a teacher's logits, and labels do not count") {
  run r, other;
  for (run* each : {&r, &other})
    each->options.mix = [each, &r](std::size_t, std::size_t, micro_batch& batch) {
      batch.teacher.assign(batch.size() * classes, 0);
      for (std::size_t i = 0; i < batch.size(); ++i)
        batch.teacher[i * classes + static_cast<std::size_t>(batch.labels[i])] = 4;
      batch.temperature = 2;
      if (each != &r) std::fill(batch.labels.begin(), batch.labels.end(), 0);
    };
  std::vector<double> losses;
  r.options.on_step = [&](const update_report& report) { losses.push_back(report.loss); };
  r.go();
  other.go();
  CHECK(losses.back() < 0.7 * losses.front());
  CHECK(other.state() == r.state());
}

TEST_CASE("an optimizer of another model is refused before the first step") {
  run r, other;
  CHECK_THROWS_WITH_AS(train(r.model, *other.by, r.data, r.options), doctest::Contains("one of another model"),
                       bit::config_error);
  CHECK(r.data.reads == 0);
}

TEST_CASE("patience and time end a run early, and patience where it would have ended without an interruption") {
  const auto scores = [](std::size_t step) { return step <= 4 ? 0.1 * static_cast<double>(step) : 0.3; };
  const scratch_folder folder;
  for (const bool stopped : {false, true}) {
    run r;
    r.options.eval_every = 2;
    r.options.patience = 3;
    r.options.folder = folder / (stopped ? "stopped" : "whole");
    r.options.evaluate = [&](std::size_t step) { return score(step, scores(step)); };
    std::size_t best_told = 0, asked = 0;
    r.options.on_best = [&](std::size_t step) { best_told = step; };
    if (stopped) {
      r.options.should_stop = [&] { return ++asked > 7; };
      CHECK(r.go().interrupted);
    }
    run again;
    again.options = r.options;
    again.options.should_stop = nullptr;
    const auto result = again.go();
    CHECK(result.ended == early_end::patience);
    CHECK(result.best_step == 4);
    CHECK(result.step == 10);  // evaluations at 6, 8 and 10 bring nothing better
    CHECK(best_told == 4);
  }
  run timed;
  timed.options.max_seconds = 1e-9;
  const auto result = timed.go();
  CHECK(result.ended == early_end::time);
  CHECK(result.step == 1);
  run impatient;
  impatient.options.patience = 1;
  CHECK_THROWS_AS(impatient.go(), bit::config_error);
}
