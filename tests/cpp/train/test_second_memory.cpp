// SPDX-License-Identifier: Apache-2.0
// A backend of a test's own trains as cpu<float> does, to the bit, though nothing outside it can touch its memory.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bit/io/head.hpp>
#include <bit/model/resnet_v2.hpp>
#include <bit/train/fine_tune.hpp>
#include <bit/train/time_estimate.hpp>
#include <csignal>

#include "../scratch.hpp"
#include "second_memory.hpp"
#include "tuning.hpp"

using namespace bit::train;
namespace data = bit::data;

namespace {

tunable_model model_of(bool second, std::size_t classes = 3) {
  const auto from = bit::io::adapt_head(tiny_checkpoint(), bit::io::head::zero(classes));
  return second ? tunable_model::of<second_memory::backend>(from.config, from.tensors)
                : make_tunable(from.config, from.tensors);
}

std::vector<float> values_of(const tunable_model& model) {
  std::vector<float> all;
  for (std::size_t i = 0; i < model.parameters().size(); ++i)
    for (const float v : model.parameters().values(i)) all.push_back(v);
  return all;
}

/// What a run leaves: parameters and the last evaluation; it stops before step `stop`.
std::pair<std::vector<float>, std::optional<evaluation>> tuned(bool second, const data::dataset_split& split,
                                                               const fine_tune_options& options,
                                                               std::size_t stop = 1000) {
  auto model = model_of(second);
  std::size_t asked = 0;
  const auto plan = resolve(options, *split.train, model);
  const auto result = fine_tune(model, split, options, plan, {.should_stop = [&] { return asked++ == stop; }});
  return {values_of(model), result.last_evaluation};
}

/// How a child process that does this ends.
template <class Action>
int status_of(const Action& action) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);  // dies without doctest's report
    action();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("a third backend fine-tunes, clips, adapts, freezes and resumes, to the bits of cpu<float>") {
  const scratch_folder folder;
  const data::dataset_split split{images(11, 3, 24), images(6, 3, 24)};
  fine_tune_options clipped = tiny_options();
  clipped.schedule = {1, 6};
  clipped.batch_split = 2;
  clipped.mixup_alpha = 0.3;
  clipped.sgd.clip_norm = 0.5;
  fine_tune_options adam = tiny_options();
  adam.schedule = {1, 5};
  adam.base_lr = 1e-3;
  adam.adam = adam_options{.decoupled = true, .parameters = {.weight_decay = 0.01}};
  adam.recompute = bit::recomputation::units;
  fine_tune_options partly = tiny_options();
  partly.schedule = {1, 5};
  partly.sgd.parameters.freeze = {"resnet/root_block/*", "resnet/block[12]/*"};
  partly.loss = training_loss::sigmoid;
  fine_tune_options head = tiny_options();
  head.schedule = {1, 8};
  head.sgd.parameters.train = {"resnet/head/*"};
  head.keep_features = true;
  int number = 0;
  for (fine_tune_options options : {clipped, adam, partly, head}) {
    CAPTURE(number);
    const auto [expected, expected_evaluation] = tuned(false, split, options);
    const auto [found, found_evaluation] = tuned(true, split, options);
    CHECK(found == expected);
    CHECK(found_evaluation->loss == expected_evaluation->loss);
    CHECK(found != values_of(model_of(true)));  // something was learned
    options.folder = folder / std::to_string(number++);
    CHECK(tuned(true, split, options, 3).first != expected);
    CHECK(tuned(true, split, options).first == expected);
    auto other = options;
    other.folder = folder / "cpu";
    tuned(false, split, other);
    CHECK(load(options.folder / "last.safetensors") == load(other.folder / "last.safetensors"));
    std::filesystem::remove_all(other.folder);
  }
}

TEST_CASE("a run may begin under one backend and end under another") {
  const scratch_folder folder;
  const data::dataset_split split{images(11, 3, 24), nullptr};
  fine_tune_options options = tiny_options();
  options.schedule = {1, 6};
  const auto whole = tuned(false, split, options).first;
  options.folder = folder / "run";
  tuned(true, split, options, 3);
  CHECK(tuned(false, split, options).first == whole);
}

TEST_CASE("a third backend tells its memory and its time, and gives its values to a model for inference") {
  const auto set = images(11, 3, 24);
  auto model = model_of(true);
  fine_tune_options options = tiny_options();
  options.schedule = {1, 10};
  const auto plan = resolve(options, *set, model);
  auto on_cpu = model_of(false);
  CHECK(plan.memory.total() == resolve(options, *set, on_cpu).memory.total());
  CHECK(estimate_time(plan, options, model, 8).total == 10 * (4 * 0.5 + 0.125) + 8 * 0.25);
  CHECK(model.parameters().in_host_memory(0).empty());

  auto filled = bit::tensor4<float>::from_shape({2, 3, 32, 32});
  for (std::size_t i = 0; i < filled.size(); ++i) filled.data()[i] = static_cast<float>(i % 17) / 17;
  const auto view = bit::view_of(static_cast<const float*>(filled.data()), {2, 3, 32, 32}, bit::layout::nchw);
  const auto source = tiny_checkpoint();  // 7 classes, a head of random numbers
  auto tuned_model = tunable_model::of<second_memory::backend>(source.config, source.tensors);
  std::vector<float> logits(2 * 7);
  tuned_model.logits(view, logits.data());
  const auto frozen = bit::resnet_v2<>(source.config, tuned_model.network().parameters()).freeze();
  const auto expected = frozen(filled);
  for (std::size_t i = 0; i < logits.size(); ++i) CHECK(logits[i] == doctest::Approx(expected.data()[i]).epsilon(1e-3));
}

TEST_CASE("a dtype that no backend trains in is refused with those there are") {
  const auto from = tiny_checkpoint();
  CHECK_THROWS_WITH_AS(make_tunable(from.config, from.tensors, bit::dtype::int8),
                       doctest::Contains("float32 or bfloat16, got int8"), bit::config_error);
  CHECK(make_tunable(from.config, from.tensors, bit::dtype::bfloat16).dtype() == bit::dtype::bfloat16);
}

TEST_CASE("the memory cannot be touched from outside, and a host pointer is refused where the backend's is due") {
  const auto from = bit::io::adapt_head(tiny_checkpoint(), bit::io::head::zero(3));
  bit::trainable_resnet_v2<second_memory::backend> model(from.config, from.tensors);
  const float* value = model.parameters().views()[0].value.data();
  CHECK(status_of([&] { model.parameters().values(0); }) == 0);
  CHECK(status_of([&] {
          const second_memory::call open;
          const volatile float read = *value;
          static_cast<void>(read);
        }) == 0);
  CHECK(status_of([&] {
          const volatile float read = *value;  // as train/ did before backends owned their memory
          static_cast<void>(read);
        }) != 0);
  float host = 0;
  CHECK_THROWS_WITH_AS(second_memory::require(&host, "logits"), doctest::Contains("got a host pointer"),
                       bit::device_error);
}
