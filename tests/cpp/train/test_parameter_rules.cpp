// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/error.hpp>
#include <bit/model/config.hpp>
#include <bit/train/parameter_rules.hpp>
#include <cmath>
#include <map>

using namespace bit::train;

namespace {

/// Names and shapes of R50x1 with ten classes.
std::vector<bit::tensor_spec> r50x1() {
  bit::resnet_config config;
  config.num_classes = 10;
  return bit::tensor_specs(config);
}

std::map<std::string, bit::parameter_rule> rules_of(const parameter_options& options) {
  const auto parameters = r50x1();
  const auto rules = resolve(parameters, options);
  std::map<std::string, bit::parameter_rule> named;
  for (std::size_t i = 0; i < rules.size(); ++i) named[parameters[i].name] = rules[i];
  return named;
}

const std::string head = "resnet/head/conv2d/kernel", stem = "resnet/root_block/standardized_conv2d/kernel",
                  first_norm = "resnet/block1/unit01/a/group_norm/gamma", last_norm = "resnet/group_norm/gamma",
                  kernel = "resnet/block3/unit06/b/standardized_conv2d/kernel";

}  // namespace

TEST_CASE("without options everything learns at one rate and nothing decays, as HyperRule wants") {
  for (const auto& [name, rule] : rules_of({})) CHECK(rule == bit::parameter_rule{});
}

TEST_CASE("layers are numbered as timm's group_matcher does for ResNetV2") {
  const auto parameters = r50x1();
  const auto numbers = layer_numbers(parameters);
  std::map<std::string, std::size_t> number;
  for (std::size_t i = 0; i < numbers.size(); ++i) number[parameters[i].name] = numbers[i];
  CHECK(number[stem] == 0);
  CHECK(number[first_norm] == 1);
  CHECK(number["resnet/block2/unit01/a/proj/standardized_conv2d/kernel"] == 4);
  CHECK(number[kernel] == 13);
  CHECK(number["resnet/block4/unit03/c/group_norm/beta"] == 16);
  CHECK(number[last_norm] == 16);
  CHECK(number[head] == 17);
}

TEST_CASE("layer decay, decay of vectors and groups multiply as they say") {
  const auto rules = rules_of({.groups = {{.pattern = "*/head/*", .rate_scale = 10, .weight_decay = 0.5},
                                          {.pattern = "resnet/*", .rate_scale = 1}},
                               .weight_decay = 1e-4,
                               .decay_vectors = false,
                               .layer_decay = 0.5});
  CHECK(rules.at(head) == bit::parameter_rule{false, 10, 0.5});
  CHECK(rules.at(last_norm) == bit::parameter_rule{false, 0.5, 0});
  CHECK(rules.at(kernel) == bit::parameter_rule{false, 0.0625, 1e-4});
  CHECK(rules.at(stem).rate_scale == doctest::Approx(std::pow(0.5, 17)));
}

TEST_CASE("patterns freeze, or choose what learns") {
  const auto frozen = rules_of({.freeze = {"resnet/root_block/*", "resnet/block[12]/*"}});
  CHECK(frozen.at(stem).frozen);
  CHECK(frozen.at(first_norm).frozen);
  CHECK(!frozen.at(kernel).frozen);
  const auto norms = rules_of({.train = {"*group_norm*", "resnet/head/*"}});
  CHECK(!norms.at(first_norm).frozen);
  CHECK(!norms.at(last_norm).frozen);
  CHECK(!norms.at(head).frozen);
  CHECK(norms.at(stem).frozen);
}

TEST_CASE("a pattern that fits nothing, impossible numbers and nothing to learn are refused") {
  try {
    rules_of({.freeze = {"resnet/blok1/*"}});
    FAIL("accepted");
  } catch (const bit::config_error& e) {
    CHECK(std::string(e.what()).find("\"resnet/blok1/*\" fits none of") != std::string::npos);
  }
  CHECK_THROWS_AS(rules_of({.train = {"nothing"}}), bit::config_error);
  CHECK_THROWS_AS(rules_of({.groups = {{.pattern = "nothing"}}}), bit::config_error);
  CHECK_THROWS_AS(rules_of({.freeze = {"*"}}), bit::config_error);
  CHECK_THROWS_AS(rules_of({.weight_decay = -1}), bit::config_error);
  CHECK_THROWS_AS(rules_of({.layer_decay = 0}), bit::config_error);
  CHECK_THROWS_AS(rules_of({.layer_decay = 1.5}), bit::config_error);
  CHECK_THROWS_AS(rules_of({.groups = {{.pattern = "*", .rate_scale = -1}}}), bit::config_error);
}
