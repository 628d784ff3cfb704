// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: the backend cpu<bfloat16>, beside network.hpp, and the measurement of both dtypes' peaks.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/conv.ipp>
#include <bit/backend/cpu/packed_weights.ipp>
#include <bit/backend/cpu/peak.ipp>
#include <bit/backend/cpu/plan.ipp>
#include <bit/backend/cpu/stem.ipp>
#include <bit/backend/cpu/winograd.ipp>
#include <bit/model/resnet_v2.hpp>

namespace bit::inline BIT_ABI {

namespace detail {

template class cpu_weights<bfloat16>;
template class stem_operation<bfloat16>;
template class conv_operation<bfloat16>;
template class winograd_operation<bfloat16>;
template class cpu_plan<bfloat16>;

}  // namespace detail

template class frozen_resnet_v2<cpu<bfloat16>>;
template class resnet_v2<cpu<bfloat16>>;

}  // namespace bit::inline BIT_ABI
