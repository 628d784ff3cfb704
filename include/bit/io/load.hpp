// SPDX-License-Identifier: Apache-2.0
// bit::load: a model from a checkpoint file in one call.
#pragma once

#include <bit/io/checkpoint.hpp>
#include <bit/io/head.hpp>
#include <bit/model/resnet_v2.hpp>
#include <filesystem>
#include <optional>

namespace bit::inline BIT_ABI {

/// What load() may change about the network in the file.
struct load_options {
  io::head head = io::head::keep();               ///< keep, drop, zero or fresh
  std::optional<std::size_t> output_stride = {};  ///< 32, 16 or 8: resolution of the last maps; unset: the file's or 32
  std::optional<double> weight_eps = {};          ///< unset: the file's or the release's 1e-10; timm trains with 1e-8
  io::open_options open = {};
};

/// The model in an npz or safetensors file under official, bit_pytorch, timm or transformers names; architecture,
/// width and classes are found from the tensors. Only headers are read here: freeze() reads the values.
/// Throws as io::open_checkpoint does.
template <backend Backend = cpu<float>>
resnet_v2<Backend> load(const std::filesystem::path& path, const load_options& options = {}) {
  io::checkpoint from = io::adapt_head(io::open_checkpoint(path, options.open), options.head);
  if (options.output_stride) from.config.output_stride = *options.output_stride;
  if (options.weight_eps) from.config.weight_eps = *options.weight_eps;
  return {from.config, from.tensors};
}

}  // namespace bit::inline BIT_ABI
