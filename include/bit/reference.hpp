// SPDX-License-Identifier: Apache-2.0
// Public header: the reference backend, for tests, for double precision and for reading what the network computes.
// Its products are xtensor-blas's: a unit that makes instances of its own (header-only ones do) either defines
// XTENSOR_USE_FLENS_BLAS, for loops without a library, or links a CBLAS; instances of bit::bit have that decided.
#pragma once

#include <bit/backend/reference.hpp>
#include <bit/backend/reference/gradients.hpp>
#include <bit/backend/reference/training.hpp>
#include <bit/model/gradients.hpp>
#include <bit/model/recorder.hpp>
#include <bit/model/trainable.hpp>
#include <bit/resnet.hpp>

#if !BIT_HEADER_ONLY
namespace bit::inline BIT_ABI {
extern template class frozen_resnet_v2<reference<float>>;
extern template class frozen_resnet_v2<reference<double>>;
extern template class trainable_resnet_v2<reference<float>>;
extern template class trainable_resnet_v2<reference<double>>;
extern template class recorder<reference<float>>;
extern template class recorder<reference<double>>;
extern template class frozen_gradients<reference<float>>;
extern template class frozen_gradients<reference<double>>;
}  // namespace bit::inline BIT_ABI
#endif
