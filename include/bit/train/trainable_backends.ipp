// SPDX-License-Identifier: Apache-2.0
// Bodies of train/trainable_backends.hpp, and the table.
#pragma once

#include <bit/error.hpp>
#include <bit/model/trainable_cpu.hpp>
#include <bit/train/trainable_backends.hpp>
#include <memory>
#include <string>

namespace bit::inline BIT_ABI::detail {

/// A backend of the table: how a model under it is made, and what it would take.
struct trainable_entry {
  bit::dtype dtype;
  std::unique_ptr<train::any_trainable<float>> (*make)(const resnet_config&, const std::vector<named_tensor>&);
  training_memory (*memory_of)(const resnet_config&, const dims4&, const training_options&, std::size_t, const dims4&);
};

template <trainable_backend Backend>
constexpr trainable_entry trainable_entry_of(bit::dtype dtype) {
  return {dtype,
          [](const resnet_config& config,
             const std::vector<named_tensor>& tensors) -> std::unique_ptr<train::any_trainable<float>> {
            return std::make_unique<train::trainable_of<Backend>>(config, tensors);
          },
          &trainable_resnet_v2<Backend>::memory_of};
}

/// The table.
inline constexpr trainable_entry trainable_backends[] = {
    trainable_entry_of<cpu<float>>(bit::dtype::float32),
    trainable_entry_of<cpu<bfloat16>>(bit::dtype::bfloat16),
};

inline const trainable_entry& trainable_entry_for(bit::dtype dtype) {
  std::string known;
  for (const trainable_entry& entry : trainable_backends) {
    if (entry.dtype == dtype) return entry;
    known += (known.empty() ? "" : " or ") + std::string(to_string(entry.dtype));
  }
  throw config_error("[train] expected a dtype that networks are trained in, " + known + ", got " + to_string(dtype));
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC tunable_model make_tunable(const resnet_config& config, const std::vector<named_tensor>& tensors,
                                    bit::dtype dtype) {
  return {detail::trainable_entry_for(dtype).make(config, tensors), dtype};
}

BIT_FUNC training_memory tunable_memory_of(bit::dtype dtype, const resnet_config& config, const dims4& images,
                                           const training_options& options, std::size_t threads) {
  return detail::trainable_entry_for(dtype).memory_of(config, images, options, threads, {});
}

}  // namespace bit::inline BIT_ABI::train
