// Compiled mode: the reference policy in single and double precision.
#include <bit/reference.hpp>

namespace bit::inline v0 {

template class frozen_resnet_v2<reference<float>>;
template class frozen_resnet_v2<reference<double>>;

}  // namespace bit::inline v0
