// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: the gradients of the backend cpu, and the model that learns.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/backward_weights.ipp>
#include <bit/backend/cpu/backward_weights_pairs.ipp>
#include <bit/backend/cpu/gradients.ipp>
#include <bit/backend/cpu/stem_backward.ipp>
#include <bit/backend/cpu/training.ipp>
#include <bit/backend/cpu/training_operation.ipp>
#include <bit/backend/cpu/training_speed.ipp>
#include <bit/backend/cpu/training_weights.ipp>
#include <bit/backend/cpu/transposed_kernel.ipp>
#include <bit/gradients.hpp>
#include <bit/model/recorder_cpu.hpp>
#include <bit/model/taps.ipp>
#include <bit/model/trainable_cpu.hpp>
#include <bit/program/backward.ipp>

namespace bit::inline BIT_ABI {

namespace detail {

template class backward_weights_operation<float>;
template class backward_weights_operation<bfloat16>;
template class cpu_training_weights<float>;
template class cpu_training_weights<bfloat16>;
template class cpu_training_plan<float>;
template class cpu_training_plan<bfloat16>;
template training_speed cpu_training_speed<float>(const program&, const trainable_parameters<float>&, std::size_t);
template training_speed cpu_training_speed<bfloat16>(const program&, const trainable_parameters<float>&, std::size_t);
template struct compiled_training<float>;
template struct compiled_training<bfloat16>;
template class cpu_gradient_plan<float>;
template class cpu_gradient_plan<bfloat16>;

}  // namespace detail

template class trainable_resnet_v2<cpu<float>>;
template class trainable_resnet_v2<cpu<bfloat16>>;
template class recorder<cpu<float>>;
template class recorder<cpu<bfloat16>>;
template class frozen_gradients<cpu<float>>;
template class frozen_gradients<cpu<bfloat16>>;

}  // namespace bit::inline BIT_ABI
