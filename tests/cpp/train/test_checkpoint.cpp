// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <bit/io/checkpoint.hpp>
#include <bit/io/write.hpp>
#include <bit/model/random.hpp>
#include <bit/train/adam.hpp>
#include <bit/train/checkpoint.hpp>
#include <bit/train/sgd.hpp>
#include <csignal>
#include <limits>

#include "../scratch.hpp"
#include "parameters.hpp"

using namespace bit::train;

namespace {

parameter_set::type& fill(parameter_set& set, unsigned seed) {
  set.add("a/kernel", {2, 3});
  set.add("a/gamma", {4});
  set.add("empty", {0});
  set.randomise(seed);
  return set.get();
}

training_state some_state() {
  return {.step = 7,
          .seed = 18446744073709551615u,
          .architecture = "R50x1",
          .flags = {{"batch", "512"}, {"name", "a \"quoted\"\\ naïve one\n"}},
          .labels = {"cat", "dog, hot"},
          .best = 0.1 + 0.2,
          .best_step = 5,
          .metadata = {{"more", "text"}}};
}

/// A run with one file, "last".
struct saved_run {
  scratch_folder folder;
  parameter_set set;
  sgd by{fill(set, 1)};
  saved_run() { save_training(folder / "last", by, some_state()); }
};

}  // namespace

TEST_CASE("a run's state comes back to the bit: values, state of the optimizer, counters, flags, labels") {
  const scratch_folder folder;
  parameter_set set, other;
  fill(set, 1);
  fill(other, 2);
  adam by(set.get(), {.parameters = {.freeze = {"a/gamma"}}}),
      by_other(other.get(), {.parameters = {.freeze = {"a/gamma"}}});
  by.step(0.1);
  by.step(0.1);
  auto odd = set.value(0);
  odd[0] = -0.0f;
  odd[1] = std::numeric_limits<float>::denorm_min();
  set.value(0, odd);
  save_training(folder / "last", by, some_state());
  const auto state = restore_training(folder / "last", by_other, some_state());
  CHECK(other.values() == set.values());
  CHECK(std::signbit(other.value(0)[0]));
  CHECK(by_other.updates() == 2);
  const auto a = by.buffers(), b = by_other.buffers();
  REQUIRE(a.size() == 4);
  REQUIRE(b.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(by.values(a[i]) == by_other.values(b[i]));
  CHECK(state.step == 7);
  CHECK(state.seed == some_state().seed);
  CHECK(state.architecture == "R50x1");
  CHECK(state.flags == some_state().flags);
  CHECK(state.labels == some_state().labels);
  CHECK(*state.best == 0.1 + 0.2);
  CHECK(state.best_step == 5);
  CHECK(state.metadata.at("more") == "text");
  CHECK(read_training_state(folder / "last").flags == state.flags);
  CHECK(folder.entries() == 1);
}

TEST_CASE_FIXTURE(saved_run,
                  "another run's file is refused with all differences and what to do, and nothing is changed") {
  const auto before = set.values();
  training_state other = some_state();
  other.flags = {{"batch", "128"}, {"name", some_state().flags["name"]}, {"base_lr", "0.003"}};
  other.seed = 1;
  other.architecture = "R101x1";
  other.labels = {"cat"};
  adam with_adam(set.get());
  const std::string text = message_of<bit::config_error>([&] { restore_training(folder / "last", with_adam, other); });
  for (const char* part :
       {"step 7", "architecture: R50x1 there, R101x1 here", "seed: 18446744073709551615 there, 1 here",
        "base_lr: not given there, 0.003 here", "batch: 512 there, 128 here", "labels: [\"cat\",\"dog, hot\"] there",
        "optimizer: sgd there, adam here", "choose another folder"}) {
    INFO(part);
    CHECK(contains(text, part));
  }
  CHECK(!contains(text, "quoted"));
  CHECK(contains(text, (folder / "last").string()));
  CHECK(set.values() == before);
}

TEST_CASE("a file of another network, of weights alone, or without training state is refused") {
  const scratch_folder folder;
  parameter_set set, wider, longer, shorter;
  fill(set, 1);
  wider.add("a/kernel", {2, 4});
  wider.add("a/gamma", {4});
  wider.add("empty", {0});
  longer.add("b/gamma", {1});
  fill(longer, 3);
  shorter.add("a/kernel", {2, 3});
  sgd by(set.get()), by_wider(wider.get()), by_longer(longer.get()), by_shorter(shorter.get());
  save_training(folder / "last", by, some_state());
  const auto restore = [&](const char* name, sgd& with) {
    return message_of<bit::format_error>([&] { restore_training(folder / name, with, some_state()); });
  };
  CHECK(contains(restore("last", by_wider), "has a/kernel as float32 (2, 3); expected float32 (2, 4)"));
  CHECK(contains(restore("last", by_longer), "lacks the tensor b/gamma"));
  CHECK(contains(restore("last", by_shorter), "tensors that this run does not have, first a/gamma"));
  save_weights(folder / "best", set.get(), some_state());
  CHECK(contains(restore("best", by), "continue from the run's last.safetensors"));
  CHECK(read_training_state(folder / "best").step == 7);
  bit::io::write_safetensors(folder / "plain", bit::random_tensors({.units = {1, 1, 1, 1}, .stem_channels = 32}, 1));
  CHECK(contains(restore("plain", by), "holds no training state"));
  CHECK_THROWS_AS(restore_training(folder / "none", by, {}), bit::io_error);
}

TEST_CASE("a flipped bit in any byte of the values is found, and nothing is changed") {
  const scratch_folder folder;
  parameter_set set;
  fill(set, 1);
  sgd by(set.get());
  by.step(0.1);
  save_training(folder / "last", by, some_state());
  const std::string good = load(folder / "last");
  const auto before = set.values();
  const std::size_t data = good.size() - 2 * 10 * sizeof(float);  // parameters and momentum
  for (std::size_t at = data; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 16);
    save(folder / "bad", bad);
    CHECK(contains(message_of<bit::format_error>([&] { restore_training(folder / "bad", by, some_state()); }),
                   "checksum"));
  }
  CHECK(set.values() == before);
}

TEST_CASE_FIXTURE(saved_run, "a file cut short is refused") {
  const std::string good = load(folder / "last");
  for (std::size_t size = 0; size < good.size(); size += 7) {
    save(folder / "bad", good.substr(0, size));
    CHECK_THROWS_AS(restore_training(folder / "bad", by, some_state()), bit::format_error);
  }
}

TEST_CASE_FIXTURE(saved_run, "a disk that fills leaves the old file, no other, and says where it stopped") {
  const std::string old = load(folder / "last");
  set.randomise(2);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  std::vector<std::string> messages;
  for (rlim_t limit = 0; limit < old.size(); limit += 13) {  // the write fails at each of these bytes
    rlimit small = old_limit;
    small.rlim_cur = limit;
    ::setrlimit(RLIMIT_FSIZE, &small);
    messages.push_back(message_of<bit::io_error>([&] { save_training(folder / "last", by, some_state()); }));
    ::setrlimit(RLIMIT_FSIZE, &old_limit);
    CHECK(load(folder / "last") == old);
    CHECK(folder.entries() == 1);
  }
  std::signal(SIGXFSZ, old_handler);
  REQUIRE(messages.size() > 10);
  for (const auto& text : messages) CHECK(contains(text, (folder / "last").string()));
  save_training(folder / "last", by, some_state());
  CHECK(load(folder / "last") != old);
}

TEST_CASE_FIXTURE(saved_run, "values that are not finite are not written over good ones") {
  const std::string old = load(folder / "last");
  auto bad = set.value(1);
  bad[2] = std::numeric_limits<float>::quiet_NaN();
  set.value(1, bad);
  CHECK(
      contains(message_of<bit::diverged_error>([&] { save_training(folder / "last", by, some_state()); }), "a/gamma"));
  CHECK(load(folder / "last") == old);
}

TEST_CASE("a training file of a BiT network opens as a model, with its configuration and labels") {
  const scratch_folder folder;
  const bit::resnet_config config{
      .units = {1, 2, 1, 1}, .stem_channels = 1, .in_channels = 1, .num_classes = 2, .groups = 1};
  parameter_set set;
  for (const auto& spec : bit::tensor_specs(config)) set.add(spec.name, spec.shape);
  set.randomise(1);
  sgd by(set.get());
  auto state = some_state();
  state.metadata = bit::io::config_metadata(config);
  save_training(folder / "last.safetensors", by, state);
  save_weights(folder / "best.safetensors", set.get(), state);
  for (const char* name : {"last.safetensors", "best.safetensors"}) {
    const auto opened = bit::io::open_checkpoint(folder / name);
    CHECK(opened.config == config);
    REQUIRE(opened.tensors.size() == set.get().size());
    for (std::size_t i = 0; i < opened.tensors.size(); ++i) {
      std::vector<float> values(set.value(i).size());
      opened.tensors[i].data->read(std::span<float>(values));
      CHECK(values == set.value(i));
    }
    CHECK(opened.metadata.at("pybit") == R"({"labels":["cat","dog, hot"]})");
  }
}
