// SPDX-License-Identifier: Apache-2.0
// What a translation unit says of itself when its macros differ from its neighbour's.
#pragma once

#include <bit/data.hpp>
#include <bit/model/config.hpp>

namespace odr {

/// can_decode for JPEG, PNG and WebP, as a unit without any of the libraries sees it.
std::array<bool, 3> decoders_without_libraries();

/// Hands a type of the library's from one unit to the other.
std::size_t features_without_libraries(const bit::resnet_config& config);

}  // namespace odr
