// Part of the implementation: the gradients of the backend cpu, and the model that learns.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/kernel_adjoint.ipp>
#include <bit/backend/cpu/pair_adjoint.ipp>
#include <bit/backend/cpu/stem_adjoint.ipp>
#include <bit/backend/cpu/training.ipp>
#include <bit/backend/cpu/training_constants.ipp>
#include <bit/model/trainable.hpp>
#include <bit/program/adjoint.ipp>

namespace bit::inline v0 {

namespace detail {

template class kernel_adjoint_operation<float>;
template class kernel_adjoint_operation<bfloat16>;
template class cpu_training_constants<float>;
template class cpu_training_constants<bfloat16>;
template class cpu_training_plan<float>;
template class cpu_training_plan<bfloat16>;

}  // namespace detail

template class trainable_resnet_v2<cpu<float>>;
template class trainable_resnet_v2<cpu<bfloat16>>;

}  // namespace bit::inline v0
