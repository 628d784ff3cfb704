// SPDX-License-Identifier: Apache-2.0
// recorder on the CPU, cpu<float> and cpu<bfloat16>.
#pragma once

#include <bit/backend/cpu/training.hpp>
#include <bit/model/recorder.hpp>

#if !BIT_HEADER_ONLY
namespace bit::inline BIT_ABI {
extern template class recorder<cpu<float>>;
extern template class recorder<cpu<bfloat16>>;
}  // namespace bit::inline BIT_ABI
#endif
