// What a BiT ResNetV2 is made of: numbers only. Facts from bit_pytorch/models.py of google-research/big_transfer.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/program/tensor_spec.hpp>

namespace bit::inline v0 {

/// Architecture of a BiT ResNetV2 (arXiv:1912.11370, section 3; He et al. arXiv:1603.05027 with stride in the 3x3).
struct resnet_config {
  std::array<std::size_t, 4> units{3, 4, 6,
                                   3};  ///< residual units per block; R50 {3,4,6,3}, R101 {3,4,23,3}, R152 {3,8,36,3}
  std::size_t stem_channels = 64;       ///< 64 x width factor; a multiple of `groups`
  std::size_t in_channels = 3;
  std::size_t num_classes = 1000;  ///< 0: no head, the model returns pooled features
  std::size_t output_stride = 32;  ///< 32, 16 or 8; below 32 the last blocks dilate instead of striding
  std::size_t groups = 32;         ///< group norm, bit_pytorch/models.py
  double group_norm_eps = 1e-5;    ///< bit_tf2/normalization.py, bit_jax/models.py
  double weight_eps = 1e-10;       ///< added to the kernels' variance; timm and transformers train with 1e-8

  /// Channels that block 1..4 puts out: 4, 8, 16, 32 times the stem's.
  std::size_t block_channels(std::size_t block) const { return stem_channels * (std::size_t{2} << block); }
  /// Channels of the pooled features.
  std::size_t num_features() const { return block_channels(4); }
  friend bool operator==(const resnet_config&, const resnet_config&) = default;
};

/// Throws config_error if the numbers cannot make a network (a zero, channels that the groups do not divide, ...).
BIT_FUNC void validate(const resnet_config& config);

/// All parameters of the network in the order of execution, the head last (absent if num_classes is 0).
BIT_FUNC std::vector<tensor_spec> tensor_specs(const resnet_config& config);

/// "R50x1" and so on for the released architectures, otherwise "units {1,1,1,1}, stem 32".
BIT_FUNC std::string architecture_name(const resnet_config& config);

}  // namespace bit::inline v0

#if BIT_HEADER_ONLY
#include <bit/model/config.ipp>
#endif
