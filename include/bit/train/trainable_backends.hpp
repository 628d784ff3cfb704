// SPDX-License-Identifier: Apache-2.0
// The backends that a network can be trained under, by the dtype that they compute in. A new one is a line of the table
// in trainable_backends.ipp.
#pragma once

#include <bit/config.hpp>
#include <bit/train/tunable_model.hpp>
#include <vector>

namespace bit::inline BIT_ABI::train {

/// The network under the backend for `dtype`. Throws config_error, naming those there are, if there is none, and what
/// trainable_resnet_v2's constructor throws.
BIT_FUNC tunable_model make_tunable(const resnet_config& config, const std::vector<named_tensor>& tensors,
                                    bit::dtype dtype = bit::dtype::float32);

/// What a step would take under the backend for `dtype`; see trainable_resnet_v2::memory_of. Throws as make_tunable().
BIT_FUNC training_memory tunable_memory_of(bit::dtype dtype, const resnet_config& config, const dims4& images,
                                           const training_options& options = {}, std::size_t threads = 0);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/trainable_backends.ipp>
#endif
