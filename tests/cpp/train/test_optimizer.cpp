// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/error.hpp>
#include <bit/train/adam.hpp>
#include <bit/train/sgd.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "parameters.hpp"

using namespace bit::train;

namespace {

using maker = std::function<std::unique_ptr<optimizer>(parameter_set&)>;

template <class Kind, class Options>
maker make(const Options& options) {
  return [options](parameter_set& set) { return std::make_unique<Kind>(set.get(), options); };
}

/// Values after `steps` updates with gradients from a seed, enough of them for several threads.
std::vector<std::vector<float>> after(const maker& how, std::size_t threads, int steps = 3) {
  parameter_set set;
  set.add("a/kernel", {3, 3, 7, 311});
  set.add("a/gamma", {5});
  set.add("b/kernel", {20 * bit::detail::update_chunk_size});
  const auto by = how(set);
  for (int i = 0; i < steps; ++i) {
    const auto values = set.values();
    set.randomise(static_cast<unsigned>(i));
    if (i > 0) set.values(values);
    by->step(0.1, threads);
  }
  return set.values();
}

}  // namespace

TEST_CASE("SGD takes the steps that one computes by hand") {
  parameter_set set;
  set.add("w", {1}, {1}, {2});
  sgd by(set.get());
  by.step(0.5);  // buffer 2
  CHECK(set.value(0)[0] == 0);
  set.gradient(0, {4});
  by.step(0.5);  // buffer 0.9·2 + 4 = 5.8
  CHECK(set.value(0)[0] == -2.9f);
  CHECK(by.values(by.buffers()[0])[0] == 5.8f);
  CHECK(by.updates() == 2);
}

TEST_CASE("learning rate 0, HyperRule's first step, fills the momentum and changes no value") {
  parameter_set set;
  set.add("w", {1}, {1}, {2});
  sgd by(set.get());
  by.step(0);
  CHECK(set.value(0)[0] == 1);
  CHECK(by.values(by.buffers()[0])[0] == 2);
}

TEST_CASE("Nesterov looks ahead, weight decay joins the gradient, without momentum there is no state") {
  parameter_set ahead, decayed, plain;
  ahead.add("w", {1}, {1}, {2});
  sgd(ahead.get(), {.momentum = 0.5, .nesterov = true}).step(0.25);  // 2 + 0.5·2
  CHECK(ahead.value(0)[0] == 0.25f);
  decayed.add("w", {1}, {4}, {2});
  sgd(decayed.get(), {.momentum = 0.5, .parameters = {.weight_decay = 0.25}}).step(0.5);  // 2 + 0.25·4
  CHECK(decayed.value(0)[0] == 2.5f);
  plain.add("w", {1}, {1}, {2});
  sgd by(plain.get(), {.momentum = 0});
  by.step(0.25);
  by.step(0.25);
  CHECK(plain.value(0)[0] == 0);
  CHECK(by.buffers().empty());
}

TEST_CASE("Adam's first step is the rate against the gradient's sign, and AdamW shrinks beside it") {
  parameter_set set, decoupled;
  set.add("w", {2}, {1, 1}, {1e-3f, -50});
  adam(set.get()).step(0.125);
  // |step| = rate·g/(|g| + eps): 1e-8/1e-3 short of the rate
  CHECK(set.value(0)[0] == doctest::Approx(0.875).epsilon(1e-5));
  CHECK(set.value(0)[1] == doctest::Approx(1.125).epsilon(1e-6));
  decoupled.add("w", {2}, {1, 1}, {1e-3f, -50});
  adam(decoupled.get(), {.decoupled = true, .parameters = {.weight_decay = 0.8}}).step(0.125);  // 1 - 0.125·0.8
  CHECK(decoupled.value(0)[0] == doctest::Approx(0.775).epsilon(1e-5));
}

TEST_CASE("Adam follows a plain reading of its paper over twenty steps") {
  parameter_set set;
  set.add("w", {1}, {0.3f});
  adam by(set.get(), {.parameters = {.weight_decay = 0.01}});
  double w = static_cast<double>(0.3f), m = 0, v = 0;
  for (int t = 1; t <= 20; ++t) {
    const auto gradient = static_cast<float>(std::sin(t));
    set.gradient(0, {gradient});
    const double g = static_cast<double>(gradient) + 0.01 * w;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    w -= 0.05 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    by.step(0.05);
  }
  // Twenty steps of up to 0.05 with roundings of 6e-8 relative each; a wrong correction is off by 0.05 at once.
  CHECK(static_cast<double>(set.value(0)[0]) == doctest::Approx(w).epsilon(2e-6));
}

TEST_CASE("in double precision, for the reference backend, both are exact to its last digits") {
  using parameters = bit::detail::host_parameters<double>;
  struct start final : bit::tensor_data {
    void read(std::span<float> out) const override { out[0] = 0.3f; }
    void read(std::span<double> out) const override { out[0] = 0.3; }
  };
  const bit::named_tensor w{"w", {1}, std::make_shared<start>()};
  const auto plain = std::make_shared<parameters>(std::span(&w, 1)),
             other = std::make_shared<parameters>(std::span(&w, 1));
  double g = 0.5, momentum = 0, m = 0, v = 0, expected = 0.3, expected_adam = 0.3;
  basic_sgd<double> by(*plain);
  basic_adam<double> by_adam(*other);
  for (int t = 1; t <= 20; ++t) {
    g = std::sin(t);
    momentum = 0.9 * momentum + g;
    expected -= 0.05 * momentum;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    expected_adam -= 0.05 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    for (const auto& each : {plain, other})
      each->write(bit::parameter_array::gradients, 0, std::span<const double>(&g, 1));
    by.step(0.05);
    by_adam.step(0.05);
  }
  // Twenty steps, each rounded to 1e-16; in float they would differ by 1e-7.
  CHECK(plain->values(0)[0] == doctest::Approx(expected).epsilon(1e-14));
  CHECK(other->values(0)[0] == doctest::Approx(expected_adam).epsilon(1e-14));
}

TEST_CASE("updates are the same to the bit for any number of threads") {
  const parameter_options decay{.weight_decay = 0.01};
  for (const auto& how :
       {make<sgd>(sgd_options{.clip_norm = 3, .parameters = decay}), make<sgd>(sgd_options{.nesterov = true}),
        make<adam>(adam_options{.decoupled = true, .clip_norm = 3, .parameters = decay})}) {
    const auto one = after(how, 1);
    CHECK(one == after(how, 2));
    CHECK(one == after(how, 7));
    CHECK(one != after(how, 1, 2));
  }
}

TEST_CASE("clipping scales all gradients by one number, that of their global norm") {
  parameter_set set;
  set.add("a", {1}, {0}, {3});
  set.add("b", {1}, {0}, {4});
  sgd by(set.get(), {.momentum = 0, .clip_norm = 2.5});
  CHECK(*by.step(1) == 5);
  CHECK(set.value(0)[0] == doctest::Approx(-1.5));
  CHECK(set.value(1)[0] == doctest::Approx(-2));
  sgd loose(set.get(), {.momentum = 0, .clip_norm = 50});
  set.value(0, {0});
  loose.step(1);
  CHECK(set.value(0)[0] == -3);  // not scaled up
  CHECK(!sgd(set.get()).step(0).has_value());
}

TEST_CASE("a frozen parameter keeps its value, has no state and does not count for the norm") {
  parameter_set set;
  set.add("trunk", {2}, {1, 2}, {100, 100});
  set.add("head", {1}, {1}, {1});
  adam by(set.get(), {.clip_norm = 1e9, .parameters = {.freeze = {"trunk"}}});
  CHECK(*by.step(0.5) == 1);
  CHECK(set.value(0) == std::vector<float>{1, 2});
  CHECK(set.value(1)[0] != 1);
  REQUIRE(by.buffers().size() == 2);
  CHECK(set.get().specs()[by.buffers()[0].parameter].name == "head");
  CHECK(by.buffers()[0].name == "mean");
  CHECK(by.buffers()[1].name == "square");
}

TEST_CASE("each group has its own rate and decay") {
  parameter_set set;
  set.add("slow", {1}, {1}, {1});
  set.add("fast", {1}, {1}, {1});
  sgd by(set.get(),
         {.momentum = 0,
          .parameters = {.groups = {{.pattern = "slow", .rate_scale = 0.5}, {.pattern = "fast", .weight_decay = 1}}}});
  by.step(0.25);
  CHECK(set.value(0)[0] == 0.875f);
  CHECK(set.value(1)[0] == 0.5f);
}

TEST_CASE("a gradient that is not finite stops a clipped update before it changes anything") {
  parameter_set set;
  set.add("w", {2}, {1, 1}, {1, std::numeric_limits<float>::infinity()});
  sgd by(set.get(), {.clip_norm = 1});
  CHECK_THROWS_AS(by.step(0.1), bit::diverged_error);
  CHECK(set.value(0) == std::vector<float>{1, 1});
  CHECK(by.updates() == 0);
}

TEST_CASE("numbers that no optimizer can use are refused") {
  parameter_set set;
  set.add("w", {1});
  CHECK_THROWS_AS(sgd(set.get(), {.momentum = 1}), bit::config_error);
  CHECK_THROWS_AS(sgd(set.get(), {.momentum = 0, .nesterov = true}), bit::config_error);
  CHECK_THROWS_AS(sgd(set.get(), {.clip_norm = -1}), bit::config_error);
  CHECK_THROWS_AS(adam(set.get(), {.beta2 = 1}), bit::config_error);
  CHECK_THROWS_AS(sgd(set.get()).step(-0.1), bit::config_error);
  CHECK_THROWS_AS(sgd(set.get()).step(std::numeric_limits<double>::quiet_NaN()), bit::config_error);
  set.get().freeze({"w"});
  CHECK_THROWS_WITH_AS(sgd{set.get()}, doctest::Contains("w has no gradient, since the model has frozen it"),
                       bit::config_error);
}

TEST_CASE(
    "what is frozen after the optimizer was made keeps its values and its state, and learns on when it is let go") {
  parameter_set set;
  set.add("trunk", {3}, {1, 2, 3}, {1, 1, 1});
  set.add("head", {1}, {1}, {1});
  sgd by(set.get());
  by.step(0.5);
  CHECK(set.value(0) == std::vector<float>{0.5f, 1.5f, 2.5f});
  set.get().freeze({"trunk"});
  CHECK_FALSE(set.get().learns(0));
  CHECK_THROWS_WITH_AS(set.get().gradient(0), doctest::Contains("trunk is frozen"), bit::config_error);
  set.gradient(1, {2});
  by.step(0.5);
  CHECK(set.value(0) == std::vector<float>{0.5f, 1.5f, 2.5f});
  CHECK(set.value(1)[0] == doctest::Approx(-0.95));  // 1 - 0.5·1 - 0.5·(0.9·1 + 2)
  set.get().freeze({});
  CHECK(set.get().gradient(0) == std::vector<float>{0, 0, 0});
  by.step(1);
  CHECK(set.value(0)[0] == doctest::Approx(-0.4));  // the momentum of the first step, times 0.9
  CHECK_THROWS_WITH_AS(set.get().freeze({"neck"}), doctest::Contains("got \"neck\""), bit::config_error);
}

TEST_CASE("an optimizer keeps the parameters that it changes alive, and two may share them") {
  auto set = std::make_unique<parameter_set>();
  set->add("a", {1}, {1}, {1});
  set->add("b", {1}, {1}, {1});
  sgd first(set->get(), {.momentum = 0, .parameters = {.freeze = {"b"}}});
  adam second(set->get(), {.parameters = {.freeze = {"a"}}});
  set.reset();
  first.step(0.5);
  second.step(0.5);
  CHECK(first.parameters().values(0)[0] == 0.5f);
  CHECK(first.parameters().values(1)[0] == doctest::Approx(0.5).epsilon(1e-5));
  CHECK(first.state_bytes() == 0);
  CHECK(second.state_bytes() == 2 * sizeof(float));
}

TEST_CASE("every change of values is counted, and nothing else is") {
  parameter_set set;
  set.add("w", {2}, {1, 1}, {1, 1});
  sgd by(set.get());
  std::uint64_t seen = set.get().version();
  const auto changed = [&] { return std::exchange(seen, set.get().version()) != seen; };
  by.step(0.1);
  CHECK(changed());
  set.value(0, {3, 4});
  CHECK(changed());
  set.get().change_values(0, [](std::span<float> values) { values[0] = 5; });
  CHECK(changed());
  set.gradient(0, {3, 4});
  set.get().zero_gradients();
  set.get().sum_of_squares(by.rules(), 1);
  CHECK_FALSE(changed());
  CHECK_THROWS_AS(set.value(0, {1}), bit::shape_error);
  CHECK_FALSE(changed());
}
