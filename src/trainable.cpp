// Compiled mode: training.
#include <bit/backend/cpu/isa/adjoint_dispatch.ipp>
#include <bit/backend/cpu/kernel_adjoint.ipp>
#include <bit/backend/cpu/stem_adjoint.ipp>
#include <bit/backend/cpu/training.ipp>
#include <bit/backend/cpu/training_constants.ipp>
#include <bit/backend/reference/training.hpp>
#include <bit/model/trainable.hpp>
#include <bit/program/adjoint.ipp>

namespace bit::inline v0 {

template class trainable_resnet_v2<cpu<float>>;
template class trainable_resnet_v2<reference<float>>;
template class trainable_resnet_v2<reference<double>>;

}  // namespace bit::inline v0
