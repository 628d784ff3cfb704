// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: the model, its program and the backend cpu<float>.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/conv.ipp>
#include <bit/backend/cpu/isa/dispatch.ipp>
#include <bit/backend/cpu/packed_weights.ipp>
#include <bit/backend/cpu/plan.ipp>
#include <bit/backend/cpu/read_weights.ipp>
#include <bit/backend/cpu/stem.ipp>
#include <bit/backend/cpu/threads.ipp>
#include <bit/backend/cpu/winograd.ipp>
#include <bit/backend/freeze_options.ipp>
#include <bit/backend/report.ipp>
#include <bit/detail/aligned_buffer.ipp>
#include <bit/detail/machine_memory.ipp>
#include <bit/model/completeness.ipp>
#include <bit/model/config.ipp>
#include <bit/model/network.ipp>
#include <bit/model/random.ipp>
#include <bit/model/resnet_v2.hpp>
#include <bit/program/memory_plan.ipp>
#include <bit/program/program.ipp>
#include <bit/program/summary.ipp>

namespace bit::inline BIT_ABI {

namespace detail {

template class cpu_weights<float>;
template class stem_operation<float>;
template class conv_operation<float>;
template class winograd_operation<float>;
template class cpu_plan<float>;

}  // namespace detail

template class frozen_resnet_v2<cpu<float>>;
template class resnet_v2<cpu<float>>;

}  // namespace bit::inline BIT_ABI
