// SPDX-License-Identifier: Apache-2.0
// trainable_resnet_v2 on the CPU, cpu<float> and cpu<bfloat16>: the default of training as resnet_v2.hpp has that of inference.
#pragma once

#include <bit/backend/cpu/training.hpp>
#include <bit/model/trainable.hpp>

#if !BIT_HEADER_ONLY
namespace bit::inline BIT_ABI {
extern template class trainable_resnet_v2<cpu<float>>;
extern template class trainable_resnet_v2<cpu<bfloat16>>;
}  // namespace bit::inline BIT_ABI
#endif
