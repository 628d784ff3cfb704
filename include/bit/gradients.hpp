// SPDX-License-Identifier: Apache-2.0
// Public header: gradients of a frozen model with respect to feature maps and images, on the CPU.
#pragma once

#include <bit/backend/cpu/gradients.hpp>
#include <bit/model/gradients.hpp>
#include <bit/resnet.hpp>

#if !BIT_HEADER_ONLY
namespace bit::inline BIT_ABI {
extern template class frozen_gradients<cpu<float>>;
extern template class frozen_gradients<cpu<bfloat16>>;
}  // namespace bit::inline BIT_ABI
#endif
