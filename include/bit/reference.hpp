// Front door: the reference policy, for tests, for double precision and for reading what the network computes.
#pragma once

#include <bit/backend/reference.hpp>
#include <bit/resnet.hpp>

#if !BIT_HEADER_ONLY
namespace bit::inline v0 {
extern template class frozen_resnet_v2<reference<float>>;
extern template class frozen_resnet_v2<reference<double>>;
}  // namespace bit::inline v0
#endif
