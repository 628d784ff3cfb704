// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/model/network.hpp>
#include <bit/model/random.hpp>
#include <bit/program/summary.hpp>

namespace {

bit::program r50x1(std::size_t side) {
  const bit::resnet_config config;
  const std::string output = "logits";
  return bit::network(config, bit::random_tensors(config, 0)).emit({1, 3, side, side}, {&output, 1});
}

}  // namespace

TEST_CASE("R50x1 at 224 costs what the field publishes") {
  std::size_t macs = 0, parameters = 0;
  for (const bit::step_summary& row : bit::summarise(r50x1(224))) {
    macs += row.macs;
    parameters += row.parameters;
  }
  CHECK(parameters == 25'549'352);
  // Convolutions and head, counted by hand (timm's table says 4.23 G, norms and pools included).
  CHECK(macs == 4'089'184'256);
}

TEST_CASE("rows name values, kinds and shapes in order") {
  const auto rows = bit::summarise(r50x1(224));
  CHECK(rows.size() == 1 + 16 * 3 + 2);
  CHECK(rows.front().kind == "stem");
  CHECK(rows.front().output == bit::dims4{1, 64, 56, 56});
  CHECK(rows[1].name == "block1/unit01/a");
  CHECK(rows[3].kind == "conv 1x1 + projection");
  CHECK(rows[3].output == bit::dims4{1, 256, 56, 56});
  CHECK(rows[6].kind == "conv 1x1 + residual");
  CHECK(rows[11].kind == "conv 3x3 /2");
  CHECK(rows.back().kind == "head");
  CHECK(rows.back().output == bit::dims4{1, 1000, 1, 1});
}
