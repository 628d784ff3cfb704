// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/io/names.hpp>
#include <set>

#include "fixture.hpp"

using bit::io::name_in;
using bit::io::naming;
using bit::io::official_name;

namespace {

constexpr naming all_namings[] = {naming::official, naming::reference_torch, naming::timm, naming::transformers};

}  // namespace

TEST_CASE("names follow the frameworks' own, as their state dicts spell them") {
  const char* conv = "resnet/block3/unit12/b/standardized_conv2d/kernel";
  CHECK(name_in(naming::reference_torch, conv) == "body.block3.unit12.conv2.weight");
  CHECK(name_in(naming::timm, conv) == "stages.2.blocks.11.conv2.weight");
  CHECK(name_in(naming::transformers, conv) == "bit.encoder.stages.2.layers.11.conv2.weight");
  const char* projection = "resnet/block1/unit01/a/proj/standardized_conv2d/kernel";
  CHECK(name_in(naming::reference_torch, projection) == "body.block1.unit01.downsample.weight");
  CHECK(name_in(naming::timm, projection) == "stages.0.blocks.0.downsample.conv.weight");
  const char* norm = "resnet/group_norm/beta";
  CHECK(name_in(naming::reference_torch, norm) == "head.gn.bias");
  CHECK(name_in(naming::timm, norm) == "norm.bias");
  CHECK(name_in(naming::transformers, norm) == "bit.norm.bias");
}

TEST_CASE("every name of the deepest network goes to every naming and back, and none coincide") {
  for (const naming names : all_namings) {
    std::set<std::string> seen;
    for (const auto& spec : bit::tensor_specs({.units = {3, 8, 36, 3}})) {
      const std::string there = name_in(names, spec.name);
      CHECK(official_name(there, names) == spec.name);
      CHECK(seen.insert(there).second);
    }
  }
}

TEST_CASE("shapes go to torch's layouts") {
  const char* kernel = "resnet/block1/unit01/b/standardized_conv2d/kernel";
  CHECK(shape_in(naming::timm, kernel, {3, 3, 8, 16}) == std::vector<std::size_t>{16, 8, 3, 3});
  const char* head = "resnet/head/conv2d/kernel";
  CHECK(shape_in(naming::official, head, {1, 1, 8, 10}) == std::vector<std::size_t>{1, 1, 8, 10});
  CHECK(shape_in(naming::timm, head, {1, 1, 8, 10}) == std::vector<std::size_t>{10, 8, 1, 1});
  CHECK(shape_in(naming::transformers, head, {1, 1, 8, 10}) == std::vector<std::size_t>{10, 8});
}

TEST_CASE("numbered standardised convolutions are those without the number") {
  CHECK(official_name("resnet/block1/unit01/a/standardized_conv2d_17/kernel", naming::official) ==
        "resnet/block1/unit01/a/standardized_conv2d/kernel");
  CHECK(official_name("resnet/root_block/standardized_conv2d_0/kernel", naming::official).has_value());
  CHECK_FALSE(official_name("resnet/root_block/standardized_conv2d_/kernel", naming::official));
  CHECK_FALSE(official_name("resnet/root_block/standardized_conv2d_1x/kernel", naming::official));
}

TEST_CASE("names that only look like parameters are none") {
  for (const char* name :
       {"", "resnet/block0/unit01/a/group_norm/gamma", "resnet/block5/unit01/a/group_norm/gamma",
        "resnet/block1/unit1/a/group_norm/gamma", "resnet/block1/unit00/a/group_norm/gamma",
        "resnet/block1/unit001/a/group_norm/gamma", "resnet/block1/unit9999/a/group_norm/gamma",
        "resnet/block1/unit01/a/group_norm/gamma/", "resnet/block1/unit01/", "resnet/block1", "resnet/head/conv2d"})
    CHECK_FALSE(official_name(name, naming::official));
  CHECK_FALSE(official_name("stages.4.blocks.0.norm1.weight", naming::timm));
  CHECK_FALSE(official_name("stages.0.blocks.00.norm1.weight", naming::timm));
  CHECK_FALSE(official_name("stages.0.blocks.-1.norm1.weight", naming::timm));
  CHECK_THROWS_AS(name_in(naming::timm, "resnet/block1/unit01/d/group_norm/gamma"), bit::config_error);
  CHECK_THROWS_AS(bit::io::naming_from_string("keras"), bit::config_error);
}

TEST_CASE("namings have words") {
  for (const naming names : all_namings) CHECK(bit::io::naming_from_string(to_string(names)) == names);
}
