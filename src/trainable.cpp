// Compiled mode: training.
#include <bit/backend/reference/training.hpp>
#include <bit/model/trainable.hpp>
#include <bit/program/adjoint.ipp>

namespace bit::inline v0 {

template class trainable_resnet_v2<reference<float>>;
template class trainable_resnet_v2<reference<double>>;

}  // namespace bit::inline v0
