// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/error.hpp>
#include <bit/model/config.hpp>

namespace {

std::size_t parameter_count(const bit::resnet_config& config) {
  std::size_t total = 0;
  for (const auto& spec : bit::tensor_specs(config)) {
    std::size_t size = 1;
    for (std::size_t d : spec.shape) size *= d;
    total += size;
  }
  return total;
}

bit::resnet_config variant(std::array<std::size_t, 4> units, std::size_t width, std::size_t classes) {
  bit::resnet_config config;
  config.units = units;
  config.stem_channels = 64 * width;
  config.num_classes = classes;
  return config;
}

}  // namespace

TEST_CASE("parameter counts equal the published ones for 1000 and 21843 classes") {
  // timm's results table for 1000 classes; the head accounts for the difference to 21843.
  CHECK(parameter_count(variant({3, 4, 6, 3}, 1, 1000)) == 25'549'352);
  CHECK(parameter_count(variant({3, 4, 23, 3}, 1, 1000)) == 44'541'480);
  CHECK(parameter_count(variant({3, 4, 6, 3}, 3, 1000)) == 217'319'080);
  CHECK(parameter_count(variant({3, 4, 23, 3}, 3, 1000)) == 387'934'888);
  CHECK(parameter_count(variant({3, 8, 36, 3}, 2, 1000)) == 236'335'208);
  CHECK(parameter_count(variant({3, 8, 36, 3}, 4, 1000)) == 936'533'224);
  CHECK(parameter_count(variant({3, 4, 6, 3}, 1, 21843)) == 68'256'659);
  CHECK(parameter_count(variant({3, 8, 36, 3}, 4, 21843)) == 1'107'299'923);
}

TEST_CASE("architectures by name") {
  for (const char* name : {"R50x1", "R50x3", "R101x1", "R101x3", "R152x2", "R152x4", "R152x99"})
    CHECK(bit::architecture_name(bit::resnet_config::named(name)) == name);
  CHECK(bit::resnet_config::named("R101x3") == variant({3, 4, 23, 3}, 3, 1000));
  CHECK(bit::resnet_config::named("R50x1") == bit::resnet_config{});
  for (const char* name : {"", "R50", "R50x", "R50x0", "R50x01", "R50x100", "R50x-1", "R50x1 ", "R26x1", "r50x1",
                           "R50x99999999999999999999"}) {
    CAPTURE(name);
    CHECK_THROWS_WITH_AS(bit::resnet_config::named(name),
                         doctest::Contains("expected R50x1, R50x3, R101x1, R101x3, R152x2, R152x4 or another width"),
                         bit::config_error);
  }
  CHECK(bit::architecture_name({.stem_channels = 6400}) == "units {3,4,6,3}, stem 6400");
  CHECK(bit::architecture_name(variant({3, 8, 36, 3}, 4, 1000)) == "R152x4");
  CHECK(bit::architecture_name({.units = {1, 1, 1, 1}, .stem_channels = 32}) == "units {1,1,1,1}, stem 32");
}

TEST_CASE("impossible configurations are refused with the numbers") {
  CHECK_THROWS_WITH_AS(bit::validate({.stem_channels = 48}),
                       "[resnet_config] expected stem_channels to be a multiple of groups = 32, got 48",
                       bit::config_error);
  CHECK_THROWS_AS(bit::validate({.output_stride = 4}), bit::config_error);
  CHECK_THROWS_AS(bit::validate({.units = {3, 0, 6, 3}}), bit::config_error);
  CHECK_NOTHROW(bit::validate({}));
}
