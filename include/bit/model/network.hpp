// SPDX-License-Identifier: Apache-2.0
// BiT ResNetV2 on one page: layers with their parameters, and the program they emit for an input shape.
#pragma once

#include <algorithm>
#include <bit/model/config.hpp>
#include <bit/nn/bottleneck.hpp>
#include <bit/nn/linear.hpp>
#include <bit/nn/stem.hpp>
#include <optional>
#include <span>

namespace bit::inline BIT_ABI {

/// The layers of a BiT ResNetV2, the same for every backend. Parameters are handles (tensor_data), so a network is
/// small and cheap to copy; one that has been moved from is a copy of the other. Const members may be called by several
/// threads at once.
class network {
 public:
  /// Takes each parameter by its official name. Throws config_error for an impossible architecture, and format_error
  /// that lists every missing, unexpected, doubled and mis-shaped tensor.
  network(const resnet_config& config, const std::vector<named_tensor>& tensors);
  network(const network&) = default;
  network& operator=(const network&) = default;

  const resnet_config& config() const { return config_; }

  /// Returns the parameters in the order of execution, with official names and layouts.
  std::vector<named_tensor> parameters() const;

  /// Returns the names of all values that `emit` and the models can give: "logits", "pooled", "features" (after the
  /// last norm and ReLU), "stem" (before the pool), "root" (after it), "block1".."block4", "block1/unit01", ...
  std::vector<std::string> output_names() const;

  /// Returns the program for a batch of `image` size whose results are `outputs`, in that order; steps that no output
  /// needs are left out. Throws shape_error if the channels differ from the configuration's, an image side is 0 or a
  /// feature map has more than max_elements elements, and config_error for an unknown output, listing the known ones.
  program emit(const dims4& image, std::span<const std::string> outputs) const;

  /// Returns the program of the classifier alone on the caller's feature maps or pooled features (h = w = 1),
  /// (n,c,h,w). Throws shape_error if the channels differ from the network's or a side is 0.
  program emit_head(const dims4& features, bool pre_logits) const;

 private:
  resnet_config config_;
  nn::stem stem_;
  std::vector<std::vector<nn::bottleneck>> blocks_;
  nn::group_norm norm_;
  std::optional<nn::linear> head_;
};

/// Returns a network that nothing outside can change: `net` itself, or one with copies in T, which is float or double,
/// of the tensors whose data is no snapshot. Throws what reading them throws.
template <class T>
network snapshot_of(const network& net) {
  std::vector<named_tensor> tensors = net.parameters();
  if (std::all_of(tensors.begin(), tensors.end(), [](const auto& t) { return t.data->is_snapshot(); })) return net;
  for (named_tensor& t : tensors) t = snapshot_of<T>(t);
  return {net.config(), tensors};
}

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/model/network.ipp>
#endif
