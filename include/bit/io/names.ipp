// SPDX-License-Identifier: Apache-2.0
// Bodies of io/names.hpp. The table follows bit_pytorch/models.py, timm/models/resnetv2.py and transformers'
// modeling_bit.py.
#pragma once

#include <array>

#include <bit/error.hpp>
#include <bit/io/names.hpp>

namespace bit::inline BIT_ABI::detail {

/// One parameter's name in the order of io::naming: official, reference_torch, timm, transformers.
using name_row = std::array<std::string_view, 4>;

inline constexpr name_row names_outside_units[] = {
    {"resnet/root_block/standardized_conv2d/kernel", "root.conv.weight", "stem.conv.weight",
     "bit.embedder.convolution.weight"},
    {"resnet/group_norm/gamma", "head.gn.weight", "norm.weight", "bit.norm.weight"},
    {"resnet/group_norm/beta", "head.gn.bias", "norm.bias", "bit.norm.bias"},
    {"resnet/head/conv2d/kernel", "head.conv.weight", "head.fc.weight", "classifier.1.weight"},
    {"resnet/head/conv2d/bias", "head.conv.bias", "head.fc.bias", "classifier.1.bias"},
};

/// Names inside a unit, after the unit's own name.
inline constexpr name_row names_in_unit[] = {
    {"a/group_norm/gamma", "gn1.weight", "norm1.weight", "norm1.weight"},
    {"a/group_norm/beta", "gn1.bias", "norm1.bias", "norm1.bias"},
    {"a/standardized_conv2d/kernel", "conv1.weight", "conv1.weight", "conv1.weight"},
    {"b/group_norm/gamma", "gn2.weight", "norm2.weight", "norm2.weight"},
    {"b/group_norm/beta", "gn2.bias", "norm2.bias", "norm2.bias"},
    {"b/standardized_conv2d/kernel", "conv2.weight", "conv2.weight", "conv2.weight"},
    {"c/group_norm/gamma", "gn3.weight", "norm3.weight", "norm3.weight"},
    {"c/group_norm/beta", "gn3.bias", "norm3.bias", "norm3.bias"},
    {"c/standardized_conv2d/kernel", "conv3.weight", "conv3.weight", "conv3.weight"},
    {"a/proj/standardized_conv2d/kernel", "downsample.weight", "downsample.conv.weight", "downsample.conv.weight"},
};

inline constexpr std::size_t column(io::naming names) { return static_cast<std::size_t>(names); }

/// Takes `prefix` off the front of `text` if it is there.
inline bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Takes a number of at most three digits, written with exactly `digits` at least: unit01, unit10, blocks.0, blocks.22.
inline std::optional<unsigned> take_number(std::string_view& text, std::size_t digits) {
  unsigned value = 0;
  std::size_t length = 0;
  for (; length < text.size() && length < 3 && text[length] >= '0' && text[length] <= '9'; ++length)
    value = value * 10 + static_cast<unsigned>(text[length] - '0');
  if (length < digits || (length > digits && text[0] == '0')) return std::nullopt;
  text.remove_prefix(length);
  return value;
}

/// What a unit is called: text before the block's number, before the unit's, after it; what both count from; digits.
struct unit_style {
  std::string_view before_block, before_unit, after;
  unsigned first;
  std::size_t digits;
};

inline constexpr unit_style unit_styles[] = {
    {"resnet/block", "/unit", "/", 1, 2},
    {"body.block", ".unit", ".", 1, 2},
    {"stages.", ".blocks.", ".", 0, 1},
    {"bit.encoder.stages.", ".layers.", ".", 0, 1},
};

inline std::string unit_prefix(io::naming names, unsigned block_number, unsigned unit) {
  const unit_style& style = unit_styles[column(names)];
  std::string number = std::to_string(unit - 1 + style.first);
  if (number.size() < style.digits) number.insert(0, style.digits - number.size(), '0');
  return std::string(style.before_block) + std::to_string(block_number - 1 + style.first) +
         std::string(style.before_unit) + number + std::string(style.after);
}

/// Block and unit, both counted from 1, taken off the front of a name.
struct unit_place {
  unsigned block, unit;
};

inline std::optional<unit_place> take_unit(std::string_view& name, io::naming names) {
  const unit_style& style = unit_styles[column(names)];
  std::string_view rest = name;
  if (!take(rest, style.before_block)) return std::nullopt;
  const auto number = take_number(rest, 1);
  if (!number || !take(rest, style.before_unit)) return std::nullopt;
  const auto unit = take_number(rest, style.digits);
  if (!unit || !take(rest, style.after)) return std::nullopt;
  if (*number < style.first || *number > style.first + 3 || *unit < style.first) return std::nullopt;
  name = rest;
  return unit_place{*number - style.first + 1, *unit - style.first + 1};
}

/// "x/standardized_conv2d_17/kernel" -> "x/standardized_conv2d/kernel": some releases number their convolutions.
inline std::string without_convolution_number(std::string_view name) {
  constexpr std::string_view word = "standardized_conv2d_";
  const std::size_t at = name.find(word);
  if (at == std::string_view::npos) return std::string(name);
  std::size_t end = at + word.size();
  while (end < name.size() && name[end] >= '0' && name[end] <= '9') ++end;
  if (end == at + word.size() || name.substr(end) != "/kernel") return std::string(name);
  return std::string(name.substr(0, at + word.size() - 1)) + "/kernel";
}

template <std::size_t N>
const name_row* find_row(const name_row (&rows)[N], std::size_t which, std::string_view name) {
  for (const name_row& row : rows)
    if (row[which] == name) return &row;
  return nullptr;
}

inline bool is_head_kernel(std::string_view official) { return official == "resnet/head/conv2d/kernel"; }

BIT_FUNC io::axis_order order_from(io::naming names, std::string_view official, std::size_t rank) {
  if (official.ends_with("/kernel")) {
    const bool torch = names != io::naming::official;
    if (rank == 4) return torch ? io::axis_order{2, 3, 1, 0} : io::axis_order{0, 1, 2, 3};
    // A head that is a dense layer: (classes,c) in torch, (c,classes) in Keras.
    if (rank == 2 && is_head_kernel(official))
      return torch ? io::axis_order{-1, -1, 1, 0} : io::axis_order{-1, -1, 0, 1};
    return {};
  }
  return rank == 1 ? io::axis_order{0} : io::axis_order{};
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::io {

inline constexpr std::string_view naming_words[] = {"official", "reference_torch", "timm", "transformers"};

BIT_FUNC std::string to_string(naming names) { return std::string(naming_words[detail::column(names)]); }

BIT_FUNC naming naming_from_string(std::string_view word) {
  for (std::size_t i = 0; i < 4; ++i)
    if (naming_words[i] == word) return static_cast<naming>(i);
  throw config_error("[names] expected official, reference_torch, timm or transformers, got \"" + std::string(word) +
                     '"');
}

BIT_FUNC std::optional<std::string> official_name(std::string_view name, naming names) {
  std::string full(name);
  if (names == naming::official) full = detail::without_convolution_number(name);
  if (names == naming::transformers && !full.starts_with("bit.") && !full.starts_with("classifier."))
    full.insert(0, "bit.");
  std::string_view rest = full;
  const std::size_t which = detail::column(names);
  if (const auto* row = detail::find_row(detail::names_outside_units, which, rest)) return std::string((*row)[0]);
  const auto place = detail::take_unit(rest, names);
  if (!place) return std::nullopt;
  const auto* row = detail::find_row(detail::names_in_unit, which, rest);
  if (!row) return std::nullopt;
  return detail::unit_prefix(naming::official, place->block, place->unit) + std::string((*row)[0]);
}

BIT_FUNC std::string name_in(naming names, std::string_view official) {
  std::string_view rest = official;
  const std::size_t which = detail::column(names);
  if (const auto* row = detail::find_row(detail::names_outside_units, 0, rest)) return std::string((*row)[which]);
  if (const auto place = detail::take_unit(rest, naming::official))
    if (const auto* row = detail::find_row(detail::names_in_unit, 0, rest))
      return detail::unit_prefix(names, place->block, place->unit) + std::string((*row)[which]);
  throw config_error(
      "[names] expected the official name of a BiT parameter, such as "
      "resnet/block1/unit01/a/standardized_conv2d/kernel, got \"" +
      std::string(official) + '"');
}

BIT_FUNC axis_order axes_in(naming names, std::string_view official, std::size_t rank) {
  if (rank == 1) return {0};
  if (names == naming::official) return {0, 1, 2, 3};
  if (names == naming::transformers && detail::is_head_kernel(official)) return {3, 2};
  return {3, 2, 0, 1};
}

BIT_FUNC std::vector<std::size_t> shape_in(naming names, std::string_view official,
                                           const std::vector<std::size_t>& shape) {
  std::vector<std::size_t> result;
  for (int axis : axes_in(names, official, shape.size())) result.push_back(shape[static_cast<std::size_t>(axis)]);
  return result;
}

}  // namespace bit::inline BIT_ABI::io
