// SPDX-License-Identifier: Apache-2.0
// Bodies of model/config.hpp.
#pragma once

#include <bit/error.hpp>
#include <bit/model/config.hpp>
#include <charconv>

namespace bit::inline BIT_ABI {

BIT_FUNC void validate(const resnet_config& config) {
  const auto require = [](bool holds, const std::string& message) {
    if (!holds) throw config_error("[resnet_config] " + message);
  };
  for (std::size_t n : config.units) require(n >= 1, "expected at least one unit in every block, got 0");
  require(config.in_channels >= 1, "expected at least one input channel, got 0");
  require(config.groups >= 1, "expected at least one group, got 0");
  require(config.stem_channels >= 1 && config.stem_channels % config.groups == 0,
          "expected stem_channels to be a multiple of groups = " + std::to_string(config.groups) + ", got " +
              std::to_string(config.stem_channels));
  require(config.output_stride == 32 || config.output_stride == 16 || config.output_stride == 8,
          "expected output_stride 32, 16 or 8, got " + std::to_string(config.output_stride));
  require(config.group_norm_eps > 0 && config.weight_eps > 0, "expected positive eps values");
}

BIT_FUNC std::vector<tensor_spec> tensor_specs(const resnet_config& config) {
  std::vector<tensor_spec> specs;
  const std::size_t stem = config.stem_channels;
  specs.push_back({"resnet/root_block/standardized_conv2d/kernel", {7, 7, config.in_channels, stem}});
  std::size_t cin = stem;
  for (std::size_t block = 1; block <= 4; ++block) {
    const std::size_t cout = config.block_channels(block), cmid = cout / 4;
    for (std::size_t unit = 1; unit <= config.units[block - 1]; ++unit) {
      const std::string prefix =
          "resnet/block" + std::to_string(block) + "/unit" + (unit < 10 ? "0" : "") + std::to_string(unit) + "/";
      const auto part = [&](const char* name, std::size_t i, std::size_t o, std::size_t k) {
        specs.push_back({prefix + name + "/group_norm/gamma", {i}});
        specs.push_back({prefix + name + "/group_norm/beta", {i}});
        specs.push_back({prefix + name + "/standardized_conv2d/kernel", {k, k, i, o}});
      };
      part("a", cin, cmid, 1);
      part("b", cmid, cmid, 3);
      part("c", cmid, cout, 1);
      if (unit == 1) specs.push_back({prefix + "a/proj/standardized_conv2d/kernel", {1, 1, cin, cout}});
      cin = cout;
    }
  }
  specs.push_back({"resnet/group_norm/gamma", {cin}});
  specs.push_back({"resnet/group_norm/beta", {cin}});
  if (config.num_classes > 0) {
    specs.push_back({"resnet/head/conv2d/kernel", {1, 1, cin, config.num_classes}});
    specs.push_back({"resnet/head/conv2d/bias", {config.num_classes}});
  }
  return specs;
}

namespace detail {

/// Units of the depths that have been released, bit_pytorch/models.py.
struct depth {
  std::string_view name;
  std::array<std::size_t, 4> units;
};
inline constexpr depth depths[] = {{"R50", {3, 4, 6, 3}}, {"R101", {3, 4, 23, 3}}, {"R152", {3, 8, 36, 3}}};
inline constexpr std::size_t stem_channels_per_width = 64, largest_width = 99;

}  // namespace detail

BIT_FUNC resnet_config resnet_config::named(std::string_view name) {
  for (const detail::depth& d : detail::depths) {
    if (!name.starts_with(d.name) || !name.substr(d.name.size()).starts_with('x')) continue;
    const std::string_view digits = name.substr(d.name.size() + 1);
    std::size_t width = 0;
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), width);
    if (problem != std::errc() || end != digits.data() + digits.size() || digits.front() == '0' ||
        width > detail::largest_width)
      continue;
    resnet_config config;
    config.units = d.units;
    config.stem_channels = detail::stem_channels_per_width * width;
    return config;
  }
  throw config_error(
      "[resnet_config] expected R50x1, R50x3, R101x1, R101x3, R152x2, R152x4 or another width of these, got \"" +
      std::string(name) + "\"");
}

BIT_FUNC std::string architecture_name(const resnet_config& config) {
  const auto& u = config.units;
  const std::size_t width = config.stem_channels / detail::stem_channels_per_width;
  for (const detail::depth& d : detail::depths)
    if (u == d.units && config.stem_channels % detail::stem_channels_per_width == 0 && width <= detail::largest_width)
      return std::string(d.name) + "x" + std::to_string(width);
  return "units {" + std::to_string(u[0]) + "," + std::to_string(u[1]) + "," + std::to_string(u[2]) + "," +
         std::to_string(u[3]) + "}, stem " + std::to_string(config.stem_channels);
}

}  // namespace bit::inline BIT_ABI
