// SPDX-License-Identifier: Apache-2.0
// Part of the implementation: what the reference backend computes with gradients. It needs the parts of training.
// xtensor-blas decides in this unit what multiplies: define XTENSOR_USE_FLENS_BLAS for its own loops, or link a CBLAS.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/reference.hpp>

namespace bit::inline BIT_ABI {

template class trainable_resnet_v2<reference<float>>;
template class trainable_resnet_v2<reference<double>>;
template class recorder<reference<float>>;
template class recorder<reference<double>>;
template class frozen_gradients<reference<float>>;
template class frozen_gradients<reference<double>>;

}  // namespace bit::inline BIT_ABI
