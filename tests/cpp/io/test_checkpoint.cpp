// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <limits>

#include "fixture.hpp"

using bit::io::naming;
using bit::io::open_checkpoint;
using fixture::format_message_of;

namespace {

/// Values in memory as a stored tensor in the official layout.
class float_data final : public bit::io::raw_data {
 public:
  explicit float_data(std::vector<float> values) : values_(std::move(values)) {}
  void read(std::span<std::byte> out) const override { std::memcpy(out.data(), values_.data(), out.size()); }

 private:
  std::vector<float> values_;
};

std::vector<bit::io::raw_tensor> raw_tensors(const bit::resnet_config& config) {
  std::vector<bit::io::raw_tensor> raw;
  for (const auto& t : fixture::make_tensors(config))
    raw.push_back({t.name, bit::io::dtype::float32, t.shape, std::make_shared<float_data>(fixture::values_of(t))});
  return raw;
}

bit::io::raw_tensor& named(std::vector<bit::io::raw_tensor>& raw, const std::string& name) {
  for (auto& t : raw)
    if (t.name == name) return t;
  throw std::logic_error(name);
}

}  // namespace

TEST_CASE("a network goes to every format and naming and comes back bit for bit, mapped or copied") {
  const fixture::folder folder;
  const auto tensors = fixture::make_tensors(fixture::small_config());
  for (const naming names : {naming::official, naming::reference_torch, naming::timm, naming::transformers})
    for (const std::string format : {"npz", "safetensors"}) {
      const auto path = folder / ("x." + format);
      if (format == "npz")
        bit::io::write_npz(path, tensors, names);
      else
        bit::io::write_safetensors(path, tensors, names);
      for (const auto mode : {bit::io::read_mode::map, bit::io::read_mode::copy}) {
        const auto read = open_checkpoint(path, {.mode = mode});
        CHECK(read.format == format);
        CHECK(read.names == names);
        CHECK(read.config == fixture::small_config());
        CHECK(read.file_size == std::filesystem::file_size(path));
        CHECK(read.problems.empty());
        CHECK(fixture::same_tensors(read.tensors, tensors));
      }
    }
  CHECK_FALSE(
      fixture::same_tensors(fixture::make_tensors(fixture::small_config(), 2), tensors));  // the comparison can fail
}

TEST_CASE("units, width, input channels and classes are found from the shapes") {
  for (const bit::resnet_config& config :
       {bit::resnet_config{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 0},
        bit::resnet_config{.units = {2, 1, 3, 1}, .stem_channels = 64, .in_channels = 1, .num_classes = 10},
        bit::resnet_config{.units = {1, 1, 1, 2}, .stem_channels = 32, .in_channels = 5, .num_classes = 21843}}) {
    const auto found = bit::io::recognise(raw_tensors(config), "state_dict");
    CHECK(found.config == config);
    CHECK(found.tensors.size() == bit::tensor_specs(config).size());
    CHECK(found.format == "memory");
  }
}

TEST_CASE("wrapper prefixes and numbered convolutions are seen through") {
  const auto config = fixture::small_config();
  for (const std::string prefix : {"module/", "module."}) {
    auto raw = raw_tensors(config);
    for (auto& t : raw) {
      if (prefix == "module.") {
        t.shape = shape_in(naming::reference_torch, t.name, t.shape);
        t.name = name_in(naming::reference_torch, t.name);
      } else if (const auto at = t.name.find("conv2d/kernel"); t.name.find("standardized") != std::string::npos) {
        t.name.insert(at + 6, "_12");
      }
      t.name = prefix + t.name;
    }
    CHECK(bit::io::recognise(std::move(raw), "x").config == config);
  }
  auto raw = raw_tensors(config);  // a prefix on some names is no wrapper
  raw[0].name.insert(0, "module/");
  CHECK(contains(format_message_of([&] { bit::io::recognise(std::move(raw), "x"); }),
                 "1 unexpected: module/resnet/root_block"));
}

TEST_CASE("missing, unexpected and mis-shaped tensors are all listed at once") {
  auto raw = raw_tensors(fixture::small_config());
  std::erase_if(raw, [](const auto& t) { return t.name == "resnet/head/conv2d/bias"; });
  named(raw, "resnet/group_norm/beta").shape = {7};
  raw.push_back({"global_step", bit::io::dtype::int64, {}, std::make_shared<float_data>(std::vector<float>(2))});
  named(raw, "resnet/block1/unit01/a/group_norm/beta").type = bit::io::dtype::int32;
  const std::string message = format_message_of([&] { bit::io::recognise(raw, "net.npz"); });
  CHECK(contains(message, "[checkpoint] net.npz: "));
  CHECK(contains(message, "units {1,1,1,1}, stem 32, 3 input channels, 3 classes"));
  CHECK(contains(message, "\n  1 missing: resnet/head/conv2d/bias\n"));
  CHECK(contains(message, "\n  1 unexpected: global_step\n"));
  CHECK(contains(message, "\n  1 of another shape: resnet/group_norm/beta expected (1024,) got (7,)\n"));
  CHECK(contains(message, "\n  1 not of floating numbers: resnet/block1/unit01/a/group_norm/beta int32"));
}

TEST_CASE("a wrong network lists what it lacks under its own names, sorted and capped") {
  auto raw = raw_tensors({.units = {1, 1, 3, 1}, .stem_channels = 32});
  for (auto& t : raw) {
    t.shape = shape_in(naming::timm, t.name, t.shape);
    t.name = name_in(naming::timm, t.name);
  }
  // Without the root, whatever can be found is still said.
  std::erase_if(raw, [](const auto& t) {
    return t.name == "stem.conv.weight" || t.name.starts_with("stages.2.blocks.1.") || t.name.starts_with("stages.0.");
  });
  const std::string message = format_message_of([&] { bit::io::recognise(std::move(raw), "x"); });
  CHECK(contains(message, "(timm names)"));
  CHECK(contains(message, "stages.0.blocks.0.conv1.weight, stages.0.blocks.0.conv2.weight"));
  CHECK(contains(message, "more"));
}

TEST_CASE("two tensors for one parameter are refused") {
  auto raw = raw_tensors(fixture::small_config());
  auto twin = named(raw, "resnet/root_block/standardized_conv2d/kernel");
  twin.name = "resnet/root_block/standardized_conv2d_1/kernel";
  raw.push_back(twin);
  CHECK(contains(format_message_of([&] { bit::io::recognise(std::move(raw), "x"); }), "are the same parameter"));
}

TEST_CASE("extra tensors are ignored only on request, and noted") {
  auto raw = raw_tensors(fixture::small_config());
  raw.push_back({"ema", bit::io::dtype::float32, {2}, std::make_shared<float_data>(std::vector<float>(2))});
  CHECK_THROWS_AS(bit::io::recognise(raw, "x"), bit::format_error);
  const auto found = bit::io::recognise(raw, "x", {.allow_extra_tensors = true});
  REQUIRE(found.problems.size() == 1);
  CHECK(contains(found.problems[0], "ignored ema (2,)"));
}

TEST_CASE("tensors of no BiT network are refused with some of their names") {
  const std::string message = format_message_of([] {
    bit::io::recognise(
        {{"fc.weight", bit::io::dtype::float32, {2}, std::make_shared<float_data>(std::vector<float>(2))}}, "x");
  });
  CHECK(contains(message, "got 1 others: fc.weight"));
  CHECK(contains(format_message_of([] { bit::io::recognise({}, "x"); }), "got 0 others"));
}

TEST_CASE("a file name that contradicts the tensors is refused, or noted on request") {
  const auto raw = raw_tensors({.units = {3, 4, 6, 3}, .num_classes = 2});
  for (const char* name :
       {"BiT-M-R50x1.npz", "a/BiT-M-R50x1-ILSVRC2012.npz", "m-r50x1/1/", "resnetv2_50x1_bit.safetensors", "mine.npz",
        "150x3.npz", "R50x12.npz", "R152x2-to-R50x1.npz", "R101x3/net.npz"}) {
    INFO(name);
    CHECK_NOTHROW(bit::io::recognise(raw, name));
  }
  const std::string message = format_message_of([&] { bit::io::recognise(raw, "x/BiT-M-R101x3.npz"); });
  CHECK(contains(message, "the file is named R101x3, its tensors make R50x1"));
  const auto found = bit::io::recognise(raw, "x/BiT-M-R101x3.npz", {.allow_name_mismatch = true});
  REQUIRE(found.problems.size() == 1);
  CHECK(contains(found.problems[0], "named R101x3"));
  // The released file that holds a width-1 network under a width-3 name.
  CHECK(contains(format_message_of([&] { bit::io::recognise(raw, "x/BiT-S-R50x3.h5"); }),
                 "known to hold another network; take BiT-S-R50x3.npz"));
}

TEST_CASE("NaN and infinite weights and constant filters are found, and refused in strict mode") {
  auto raw = raw_tensors(fixture::small_config());
  const auto clean = bit::io::recognise(raw, "x", {.check_values = true});
  CHECK(clean.problems.empty());
  CHECK(find_bad_values(clean).empty());
  std::vector<float> kernel = fixture::values_of(clean.tensors[0]);
  for (std::size_t i = 5; i < kernel.size(); i += 32) kernel[i] = 0.25f;  // filter 5 of 32
  named(raw, clean.tensors[0].name).data = std::make_shared<float_data>(kernel);
  const auto constant = bit::io::recognise(raw, "x", {.check_values = true});
  REQUIRE(constant.problems.size() == 1);
  CHECK(contains(constant.problems[0], "1 of 32 filters have no variance"));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    kernel[7] = bad;
    named(raw, clean.tensors[0].name).data = std::make_shared<float_data>(kernel);
    CHECK(contains(find_bad_values(bit::io::recognise(raw, "x")).at(0), "1 of 4704 values are NaN or infinite"));
    CHECK(contains(format_message_of([&] { bit::io::recognise(raw, "x", {.check_values = true}); }), "NaN"));
  }
}
