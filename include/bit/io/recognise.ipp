// SPDX-License-Identifier: Apache-2.0
// How io::checkpoint is found from stored tensors: whose names they bear, which network they make, what does not fit.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <set>
#include <string_view>
#include <utility>

#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/io/checkpoint.hpp>
#include <bit/io/convert.hpp>
#include <bit/io/names.ipp>
#include <bit/io/source_name.ipp>
#include <bit/io/values.ipp>
#include <bit/model/completeness.hpp>

namespace bit::inline BIT_ABI::detail {

/// A stored tensor with its place in the network.
struct placed_tensor {
  io::raw_tensor* raw = nullptr;
  io::axis_order order;            ///< to the official layout; empty if its rank fits none
  std::vector<std::size_t> shape;  ///< official, if order is not empty
};
using placed_tensors = std::map<std::string, placed_tensor>;

/// Takes off the prefixes that wrappers put before every name: DataParallel, torch.compile, TFHub variables.
inline void strip_wrappers(std::vector<io::raw_tensor>& tensors) {
  bool again = !tensors.empty();
  while (again) {
    again = false;
    for (const std::string_view prefix : {"module.", "_orig_mod.", "module/"}) {
      if (!std::all_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name.starts_with(prefix); }))
        continue;
      for (auto& t : tensors) t.name.erase(0, prefix.size());
      again = true;
    }
  }
}

/// The naming that most names belong to. Throws format_error if none belongs to any.
inline io::naming guess_naming(const std::vector<io::raw_tensor>& tensors, const std::string& source) {
  std::size_t best_count = 0;
  io::naming best{};
  for (const io::naming names :
       {io::naming::official, io::naming::reference_torch, io::naming::timm, io::naming::transformers}) {
    const auto count = static_cast<std::size_t>(std::count_if(
        tensors.begin(), tensors.end(), [&](const auto& t) { return io::official_name(t.name, names).has_value(); }));
    if (count > best_count) {
      best_count = count;
      best = names;
    }
  }
  if (best_count > 0) return best;
  std::set<std::string> present;
  for (const auto& t : tensors) present.insert(t.name);
  throw format_error("[checkpoint] " + source +
                     ": expected the tensors of a BiT network under official, bit_pytorch, "
                     "timm or transformers names, got " +
                     std::to_string(tensors.size()) + " others" + (present.empty() ? "" : ": " + capped_list(present)));
}

/// Sizes of the network, from whichever tensors are there. Throws format_error if no tensor tells its width.
inline resnet_config guess_config(const placed_tensors& placed, const std::string& source) {
  const auto size = [&](const char* name, std::size_t axis) -> std::size_t {
    const auto found = placed.find(name);
    return found == placed.end() || found->second.order.empty() ? 0 : found->second.shape[axis];
  };
  resnet_config config;
  const char* root = "resnet/root_block/standardized_conv2d/kernel";
  if (placed.contains(root)) config.in_channels = size(root, 2);
  config.stem_channels = size(root, 3);
  if (config.stem_channels == 0) config.stem_channels = size("resnet/block1/unit01/a/group_norm/gamma", 0);
  if (config.stem_channels == 0) config.stem_channels = size("resnet/group_norm/gamma", 0) / 32;
  config.num_classes = size("resnet/head/conv2d/kernel", 3);
  if (config.num_classes == 0) config.num_classes = size("resnet/head/conv2d/bias", 0);
  constexpr std::size_t limit = std::size_t{1} << 20;  // far above any network; keeps later products in 64 bits
  if (config.stem_channels == 0 || config.stem_channels > limit || config.in_channels == 0 ||
      config.in_channels > limit)
    throw format_error("[checkpoint] " + source +
                       ": no width can be found: expected a stem kernel of shape "
                       "(7, 7, input channels, stem channels) in the official layout");
  std::array<std::set<unsigned>, 4> units;
  for (const auto& [name, tensor] : placed) {
    std::string_view rest = name;
    if (const auto place = take_unit(rest, io::naming::official)) units[place->block - 1].insert(place->unit);
  }
  for (std::size_t i = 0; i < 4; ++i) config.units[i] = std::max<std::size_t>(units[i].size(), 1);
  return config;
}

template <class Number>
void number_from_metadata(const io::checkpoint& from, const char* key, Number& value) {
  const auto found = from.metadata.find(key);
  if (found == from.metadata.end()) return;
  const char *begin = found->second.data(), *end = begin + found->second.size();
  const auto [stop, problem] = std::from_chars(begin, end, value);
  if (problem != std::errc() || stop != end)
    throw format_error("[checkpoint] " + from.source + ": metadata " + key + ": expected a number, got \"" +
                       found->second + '"');
}

inline void config_from_metadata(io::checkpoint& into) {
  number_from_metadata(into, "bit.groups", into.config.groups);
  number_from_metadata(into, "bit.output_stride", into.config.output_stride);
  number_from_metadata(into, "bit.group_norm_eps", into.config.group_norm_eps);
  number_from_metadata(into, "bit.weight_eps", into.config.weight_eps);
  try {
    validate(into.config);
  } catch (const config_error& e) {
    throw format_error("[checkpoint] " + into.source + ": no network can have its sizes: " + e.what());
  }
}

/// Gives each tensor its official name. Two tensors for one parameter are refused, others returned.
inline std::vector<io::raw_tensor*> place_tensors(std::vector<io::raw_tensor>& tensors, const io::checkpoint& into,
                                                  placed_tensors& placed) {
  std::vector<io::raw_tensor*> extra;
  for (io::raw_tensor& raw : tensors) {
    const auto official = io::official_name(raw.name, into.names);
    if (!official) {
      extra.push_back(&raw);
      continue;
    }
    placed_tensor entry{&raw, order_from(into.names, *official, raw.shape.size()), {}};
    for (int axis : entry.order) entry.shape.push_back(axis < 0 ? 1 : raw.shape[static_cast<std::size_t>(axis)]);
    const auto [old, fresh] = placed.try_emplace(*official, std::move(entry));
    if (!fresh)
      throw format_error("[checkpoint] " + into.source + ": " + old->second.raw->name + " and " + raw.name +
                         " are the same parameter");
  }
  return extra;
}

/// Compares what is there with what the network needs; throws one format_error that lists all differences.
inline void check_complete(const io::checkpoint& into, const placed_tensors& placed,
                           const std::vector<const io::raw_tensor*>& unexpected,
                           const std::vector<tensor_spec>& specs) {
  std::vector<present_tensor> present;
  for (const auto& [name, tensor] : placed) {
    const io::raw_tensor& raw = *tensor.raw;
    present.push_back({name, tensor.shape, raw.name, raw.shape, raw.type < dtype::float16 ? to_string(raw.type) : ""});
  }
  for (const io::raw_tensor* raw : unexpected) present.push_back({raw->name, raw->shape, raw->name, raw->shape});
  const std::string problems =
      tensor_problems(specs, present,
                      {[&](const tensor_spec& spec) { return io::name_in(into.names, spec.name); },
                       [&](const tensor_spec& spec) { return io::shape_in(into.names, spec.name, spec.shape); }});
  if (problems.empty()) return;
  throw format_error("[checkpoint] " + into.source + ": its tensors (" + io::to_string(into.names) +
                     " names) do not make one BiT network. From their shapes: " + architecture_name(into.config) +
                     ", " + std::to_string(into.config.in_channels) + " input channels, " +
                     std::to_string(into.config.num_classes) + " classes, but" + problems);
}

/// Fills everything of `into` but format, metadata and file size.
inline void recognise_into(io::checkpoint& into, std::vector<io::raw_tensor> tensors, const std::string& source,
                           const io::open_options& options) {
  into.source = source;
  strip_wrappers(tensors);
  into.names = guess_naming(tensors, source);
  placed_tensors placed;
  std::vector<const io::raw_tensor*> unexpected;
  for (const io::raw_tensor* raw : place_tensors(tensors, into, placed)) {
    if (options.allow_extra_tensors)
      into.problems.push_back("ignored " + raw->name + " " + io::to_string(raw->shape) + ", which is no BiT parameter");
    else
      unexpected.push_back(raw);
  }
  into.config = guess_config(placed, source);
  const auto specs = tensor_specs(into.config);
  check_complete(into, placed, unexpected, specs);
  config_from_metadata(into);
  if (std::string contradiction = contradiction_in_name(source, into.config); !contradiction.empty()) {
    if (!options.allow_name_mismatch)
      throw format_error("[checkpoint] " + source + ": " + contradiction + "; rename it, or allow the mismatch");
    into.problems.push_back(std::move(contradiction));
  }
  for (const tensor_spec& spec : specs) {
    placed_tensor& entry = placed.at(spec.name);
    into.stored.push_back(entry.raw->type);
    into.tensors.push_back({spec.name, spec.shape, as_parameter(std::move(*entry.raw), entry.order)});
  }
  if (!options.check_values) return;
  bool unusable = false;
  for (const named_tensor& tensor : into.tensors) {
    std::string problem = bad_values(tensor, unusable);
    if (unusable) throw format_error("[checkpoint] " + source + ": " + problem);
    if (!problem.empty()) into.problems.push_back(std::move(problem));
  }
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::io {

BIT_FUNC std::map<std::string, std::string> config_metadata(const resnet_config& config) {
  return {{"bit.groups", std::to_string(config.groups)},
          {"bit.output_stride", std::to_string(config.output_stride)},
          {"bit.group_norm_eps", detail::number_text(config.group_norm_eps)},
          {"bit.weight_eps", detail::number_text(config.weight_eps)}};
}

}  // namespace bit::inline BIT_ABI::io
