// SPDX-License-Identifier: Apache-2.0
// A header-only unit without optional libraries, whatever the build links.
#undef BIT_HAS_JPEG
#undef BIT_HAS_PNG
#undef BIT_HAS_WEBP
#undef BIT_HAS_ZLIB
#include "options.hpp"

std::array<bool, 3> odr::decoders_without_libraries() {
  using enum bit::data::image_format;
  return {bit::data::can_decode(jpeg), bit::data::can_decode(png), bit::data::can_decode(webp)};
}

std::size_t odr::features_without_libraries(const bit::resnet_config& config) { return config.num_features(); }
