// Compiled mode: the reference backend in single and double precision, inference and training.
#include <bit/reference.hpp>

namespace bit::inline v0 {

template class frozen_resnet_v2<reference<float>>;
template class frozen_resnet_v2<reference<double>>;
template class trainable_resnet_v2<reference<float>>;
template class trainable_resnet_v2<reference<double>>;
template class frozen_gradients<reference<float>>;
template class frozen_gradients<reference<double>>;

}  // namespace bit::inline v0
