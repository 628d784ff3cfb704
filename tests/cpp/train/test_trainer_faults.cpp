// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bit/train/sgd.hpp>
#include <bit/train/trainer.hpp>
#include <chrono>
#include <csignal>
#include <limits>
#include <random>
#include <thread>

#include "../scratch.hpp"
#include "logistic_regression.hpp"

using namespace bit::train;

namespace {

constexpr std::size_t features = 4, classes = 3;

/// A run of `steps` steps in `folder`, saved every second one.
struct run {
  logistic_regression model{features, classes};
  sgd by{model.parameters()};
  point_source data{8, features, classes};
  trainer_options options;

  run(const std::filesystem::path& folder, std::size_t steps) {
    options.rate = [steps](std::size_t step) { return step < steps ? std::optional(0.05) : std::nullopt; };
    options.folder = folder;
    options.save_every = 2;
  }
  training_result go() { return train(model, by, data, options); }
};

/// A source that breaks at one step.
class breaking final : public batch_source {
 public:
  breaking(std::size_t at, std::function<void(micro_batch&)> how) : at_(at), how_(std::move(how)) {}
  std::size_t size(std::size_t step) const override { return points_.size(step); }
  micro_batch read(std::size_t step, std::size_t part, std::size_t parts) override {
    auto batch = points_.read(step, part, parts);
    if (step == at_) how_(batch);
    return batch;
  }

 private:
  std::size_t at_;
  std::function<void(micro_batch&)> how_;
  point_source points_{8, features, classes};
};

}  // namespace

TEST_CASE("a run killed at thirty-two random moments ends with the bits of one that was not") {
  const scratch_folder folder;
  constexpr std::size_t steps = 120;
  run whole("", steps);
  whole.go();
  std::mt19937 random(20);
  int kills = 0;
  for (int round = 0; round < 32; ++round) {
    const auto place = folder / ("run" + std::to_string(round % 4));  // some runs are killed several times
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        run(place, steps).go();
      } catch (...) {
        ::_exit(3);
      }
      ::_exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    kills += WIFSIGNALED(status);
    CHECK((WIFSIGNALED(status) || WEXITSTATUS(status) == 0));
    if (round >= 28) {
      run last(place, steps);
      const auto result = last.go();
      CHECK(result.step == steps);
      CHECK(last.model.values() == whole.model.values());
      CHECK(std::distance(std::filesystem::directory_iterator(place), {}) == 2);  // last.safetensors, metrics.jsonl
    }
  }
  CHECK(kills > 0);
}

TEST_CASE("a loss that is not a number stops the run, and the last good file can be continued from") {
  const scratch_folder folder;
  breaking data(5, [](micro_batch& batch) { batch.images(0, 0, 0, 0) = std::numeric_limits<float>::quiet_NaN(); });
  run r(folder.path(), 10);
  const std::string text = message_of<bit::diverged_error>([&] { train(r.model, r.by, data, r.options); });
  CHECK(contains(text, "the loss of step 5 is"));
  CHECK(contains(text, (folder / "last.safetensors").string() + " holds step 4"));
  CHECK(read_training_state(folder / "last.safetensors").step == 4);
  run again(folder.path(), 10), whole("", 10);
  CHECK(again.go().first_step == 4);
  whole.go();
  CHECK(again.model.values() == whole.model.values());
}

TEST_CASE("parameters that are not finite are not saved over good ones") {
  const scratch_folder folder;
  run r(folder.path(), 10);
  r.options.on_step = [&](const update_report& report) {
    if (report.step != 4) return;
    auto weights = r.model.values()[0];
    weights[0] = std::numeric_limits<float>::infinity();
    r.model.value(0, weights);
  };
  CHECK(contains(message_of<bit::diverged_error>([&] { r.go(); }), "holds step 2"));
  CHECK(read_training_state(folder / "last.safetensors").step == 2);
}

TEST_CASE("data that fail in the middle, or a callback, cost no finished step") {
  const scratch_folder folder;
  breaking data(5, [](micro_batch&) { throw bit::format_error("images/cat.jpg: truncated"); });
  run r(folder / "a", 10), called(folder / "b", 10);
  CHECK(message_of<bit::format_error>([&] { train(r.model, r.by, data, r.options); }) == "images/cat.jpg: truncated");
  CHECK(read_training_state(folder / "a/last.safetensors").step == 5);
  called.options.on_step = [](const update_report& report) {
    if (report.step == 7) throw bit::interrupted_error("ctrl-c");
  };
  CHECK_THROWS_AS(called.go(), bit::interrupted_error);
  CHECK(read_training_state(folder / "b/last.safetensors").step == 7);
  breaking labels(3, [](micro_batch& batch) { batch.labels[1] = 9; });
  run wrong(folder / "c", 10);
  CHECK(contains(message_of<bit::shape_error>([&] { train(wrong.model, wrong.by, labels, wrong.options); }),
                 "label 9 of example 1 is outside 0..2"));
  CHECK(read_training_state(folder / "c/last.safetensors").step == 3);
}

TEST_CASE("a disk that fills in mid-run is an error that says what can be continued, and it can") {
  const scratch_folder folder;
  run r(folder.path(), 10), whole("", 10);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  r.options.on_step = [&](const update_report& report) {
    if (report.step != 5) return;
    rlimit small = old_limit;
    small.rlim_cur = 100;
    ::setrlimit(RLIMIT_FSIZE, &small);
  };
  const std::string text = message_of<bit::io_error>([&] { r.go(); });
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  CHECK(contains(text, folder.path().string()));
  const auto left = read_training_state(folder / "last.safetensors").step;
  CHECK(left == 4);
  run again(folder.path(), 10);
  CHECK(again.go().first_step == left);
  whole.go();
  CHECK(again.model.values() == whole.model.values());
}

TEST_CASE(
    "a folder that another run uses, another run's file and impossible options are refused before the first step") {
  const scratch_folder folder;
  run r(folder.path(), 4);
  {
    const run_folder busy(folder.path());
    CHECK(contains(message_of<bit::io_error>([&] { r.go(); }), "another process is training"));
  }
  r.go();
  run other(folder.path(), 4);
  other.options.run.flags = {{"batch", "64"}};
  CHECK(contains(message_of<bit::config_error>([&] { other.go(); }), "batch: not given there, 64 here"));
  CHECK(other.data.reads == 0);
  run lost(folder.path(), 4), split("", 4);
  lost.options.rate = nullptr;
  split.options.batch_split = 0;
  CHECK_THROWS_AS(lost.go(), bit::config_error);
  CHECK_THROWS_AS(split.go(), bit::config_error);
}

TEST_CASE("a run in double precision takes its steps, and refuses a folder, since files hold float32") {
  struct zero final : bit::tensor_data {
    void read(std::span<float> out) const override { out[0] = 0; }
    void read(std::span<double> out) const override { out[0] = 0; }
  };
  struct slope {  // logits are the one parameter and 0; it learns the label
    bit::named_tensor start{"slope", {1}, std::make_shared<zero>()};
    std::shared_ptr<bit::detail::host_parameters<double>> own =
        std::make_shared<bit::detail::host_parameters<double>>(std::span<const bit::named_tensor>(&start, 1));
    bit::detail::host_parameters<double>& parameters() { return *own; }
    double accumulate(const bit::image_view<double>&, const bit::loss& loss, double scale, std::span<double>,
                      const bit::run_options&, double weight) {
      const std::vector<double> logits{own->values(0)[0], 0};
      std::vector<double> d(2);
      const double found = bit::evaluate_loss<double>(loss, logits, d, 1, 2, weight);
      own->front().gradient[0] += scale * d[0];
      return found;
    }
    double accumulate(const bit::image_view<double>&, const bit::loss_function<double>&, double, std::span<double>,
                      const bit::run_options&, double) {
      return 0;  // no loss of its own is given
    }
  } model;
  struct one_image final : basic_batch_source<double> {
    std::size_t size(std::size_t) const override { return 1; }
    basic_micro_batch<double> read(std::size_t, std::size_t, std::size_t) override {
      basic_micro_batch<double> batch;
      batch.images = bit::tensor4<double>::from_shape({1, 1, 1, 1});
      batch.labels = {0};
      return batch;
    }
  } data;
  basic_sgd<double> by(model.parameters(), {.momentum = 0});
  basic_trainer_options<double> options;
  options.rate = [](std::size_t step) { return step < 1 ? std::optional(1.0) : std::nullopt; };
  CHECK(*train(model, by, data, options).loss == doctest::Approx(std::log(2.0)).epsilon(1e-15));
  CHECK(model.own->values(0)[0] == doctest::Approx(0.5).epsilon(1e-15));
  const scratch_folder folder;
  options.folder = folder / "run";
  CHECK(contains(message_of<bit::config_error>([&] { train(model, by, data, options); }), "expected no folder"));
  CHECK(!std::filesystem::exists(folder / "run"));
}
