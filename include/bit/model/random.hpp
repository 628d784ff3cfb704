// SPDX-License-Identifier: Apache-2.0
// Seeded random parameters for networks that are not loaded from a file.
#pragma once

#include <bit/model/config.hpp>
#include <bit/program/parameter.hpp>
#include <cstdint>

namespace bit::inline BIT_ABI {

/// Returns parameters of a fresh network: kernels He-normal over fan-out (arXiv:1502.01852; timm's start for this
/// network), gamma 1, beta 0, head N(0, 0.01²) with bias 0. Values depend only on (seed, name, shape), on every
/// machine; they are made when they are read, so the result takes no memory.
BIT_FUNC std::vector<named_tensor> random_tensors(const resnet_config& config, std::uint64_t seed);

/// These return the head's tensors for `classes` classes over `features` channels: N(0, 0.01²) from the seed, or all
/// zeros as the release starts fine-tuning (bit_pytorch/models.py, zero_head).
BIT_FUNC std::vector<named_tensor> random_head(std::size_t features, std::size_t classes, std::uint64_t seed);
BIT_FUNC std::vector<named_tensor> zero_head(std::size_t features, std::size_t classes);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/model/random.ipp>
#endif
