// SPDX-License-Identifier: Apache-2.0
// Parameter names and layouts of the frameworks that BiT checkpoints come from, and the way between them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::io {

/// Whose names and layout a checkpoint uses.
enum class naming {
  official,         ///< the release's npz: kernels HWIO, head (1,1,c,classes)
  reference_torch,  ///< bit_pytorch/models.py, also saved from DataParallel with `module.`: kernels OIHW
  timm,             ///< timm's resnetv2 *_bit: kernels OIHW, head.fc (classes,c,1,1)
  transformers,     ///< BitForImageClassification: kernels OIHW, classifier.1 (classes,c)
};

/// "official", "reference_torch", "timm" or "transformers".
BIT_FUNC std::string to_string(naming names);

/// The reverse of to_string. Throws config_error for another word.
BIT_FUNC naming naming_from_string(std::string_view word);

/// How axes move between namings: axis i of the result is axis order[i] of the source, -1 a new axis of size 1.
using axis_order = std::vector<int>;

/// The official name of a parameter, or nothing if `name` is none. Tolerates `standardized_conv2d_<n>` and, for
/// transformers, names without the leading `bit.`; wrapper prefixes such as `module.` are the caller's.
BIT_FUNC std::optional<std::string> official_name(std::string_view name, naming names);

/// The name of an official parameter elsewhere. Throws config_error if `official` names no BiT parameter.
BIT_FUNC std::string name_in(naming names, std::string_view official);

/// Axes of an official parameter of `rank` axes (1, or 4 for kernels) as `names` lays them out; those of size 1 that
/// are not named there, in the transformers head, drop out.
BIT_FUNC axis_order axes_in(naming names, std::string_view official, std::size_t rank);

/// The shape that a parameter of official shape `shape` has elsewhere.
BIT_FUNC std::vector<std::size_t> shape_in(naming names, std::string_view official,
                                           const std::vector<std::size_t>& shape);

}  // namespace bit::inline BIT_ABI::io

namespace bit::inline BIT_ABI::detail {

/// Axes of a stored parameter of `rank` axes in the official layout; empty if no layout of that rank is known.
BIT_FUNC io::axis_order order_from(io::naming names, std::string_view official, std::size_t rank);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/io/names.ipp>
#endif
