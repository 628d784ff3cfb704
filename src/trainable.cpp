// Compiled mode: training.
#include <bit/backend/cpu/isa/adjoint_dispatch.ipp>
#include <bit/backend/cpu/kernel_adjoint.ipp>
#include <bit/backend/cpu/pair_adjoint.ipp>
#include <bit/backend/cpu/stem_adjoint.ipp>
#include <bit/backend/cpu/training.ipp>
#include <bit/backend/cpu/training_constants.ipp>
#include <bit/backend/cpu/training_speed.ipp>
#include <bit/model/trainable_cpu.hpp>
#include <bit/program/adjoint.ipp>

namespace bit::inline v0 {

namespace detail {

template const map_adjoint_kernels<float>& map_adjoint_kernels_of<float>(instruction_set);
template const map_adjoint_kernels<bfloat16>& map_adjoint_kernels_of<bfloat16>(instruction_set);
template const pair_adjoint_kernels* pair_adjoint_kernels_of<bfloat16>(instruction_set);
template class kernel_adjoint_operation<float>;
template class kernel_adjoint_operation<bfloat16>;
template class cpu_training_constants<float>;
template class cpu_training_constants<bfloat16>;
template class cpu_training_plan<float>;
template class cpu_training_plan<bfloat16>;
template training_speed cpu_training_speed<float>(const program&, const trainable_parameters<float>&, std::size_t);
template training_speed cpu_training_speed<bfloat16>(const program&, const trainable_parameters<float>&, std::size_t);

}  // namespace detail

template class trainable_resnet_v2<cpu<float>>;
template class trainable_resnet_v2<cpu<bfloat16>>;

}  // namespace bit::inline v0
