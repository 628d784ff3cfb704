// SPDX-License-Identifier: Apache-2.0
// What a BiT ResNetV2 is made of: numbers only. Facts from bit_pytorch/models.py of google-research/big_transfer.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <bit/config.hpp>
#include <bit/program/tensor_spec.hpp>

namespace bit::inline BIT_ABI {

/// This is the architecture of a BiT ResNetV2 (arXiv:1912.11370, section 3; He et al. arXiv:1603.05027 with stride in
/// the 3x3). The defaults are those of R50x1 with 1000 classes.
struct resnet_config {
  /// Each of the four blocks has so many residual units: R50 {3,4,6,3}, R101 {3,4,23,3}, R152 {3,8,36,3}.
  std::array<std::size_t, 4> units{3, 4, 6, 3};
  /// The first convolution puts out 64 channels times the width factor; they are a multiple of `groups`.
  std::size_t stem_channels = 64;
  /// The images have so many channels.
  std::size_t in_channels = 3;
  /// The head tells so many classes apart; with 0 there is no head, and the model returns pooled features.
  std::size_t num_classes = 1000;
  /// The last feature map is smaller than the image by 32, 16 or 8; below 32 the last blocks dilate instead of
  /// striding.
  std::size_t output_stride = 32;
  /// Group norms have so many groups (bit_pytorch/models.py).
  std::size_t groups = 32;
  /// Group norms add it to the variance (bit_tf2/normalization.py, bit_jax/models.py).
  double group_norm_eps = 1e-5;
  /// Weight standardisation adds it to the kernels' variance; timm and transformers train with 1e-8.
  double weight_eps = 1e-10;

  /// Returns the channels that block 1..4 puts out: 4, 8, 16, 32 times the stem's.
  std::size_t block_channels(std::size_t block) const { return stem_channels * (std::size_t{2} << block); }
  /// Returns the channels of the pooled features.
  std::size_t num_features() const { return block_channels(4); }
  /// Returns the architecture "R50x1", "R101x3", ...: depth and width factor, with everything else as above. Throws
  /// config_error for another depth than 50, 101 and 152 or a width factor outside 1..99; the message lists the
  /// architectures that have been released.
  static resnet_config named(std::string_view name);
  friend bool operator==(const resnet_config&, const resnet_config&) = default;
};

/// Throws config_error if the numbers cannot make a network (a zero, channels that the groups do not divide, ...).
BIT_FUNC void validate(const resnet_config& config);

/// Returns all parameters of the network in the order of execution, the head last (absent if num_classes is 0).
BIT_FUNC std::vector<tensor_spec> tensor_specs(const resnet_config& config);

/// Returns the name that resnet_config::named() takes, if there is one, otherwise a text like "units {1,1,1,1}, stem
/// 32".
BIT_FUNC std::string architecture_name(const resnet_config& config);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/model/config.ipp>
#endif
