// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: the reference backend in single and double precision, inference.
// xtensor-blas decides in this unit what multiplies: define XTENSOR_USE_FLENS_BLAS for its own loops, or link a CBLAS.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/reference.hpp>

namespace bit::inline BIT_ABI {

template class frozen_resnet_v2<reference<float>>;
template class frozen_resnet_v2<reference<double>>;

}  // namespace bit::inline BIT_ABI
