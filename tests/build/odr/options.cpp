// SPDX-License-Identifier: Apache-2.0
// Exits with 0 if this unit has the decoders of the build and the other one, compiled without any, has none. With
// BIT_TEST_MIXED it hands the other unit a type of the library's, which must not link.
#include "options.hpp"

int main() {
  using enum bit::data::image_format;
  const std::array<bool, 3> here = {bit::data::can_decode(jpeg), bit::data::can_decode(png),
                                    bit::data::can_decode(webp)};
  const std::array<bool, 3> linked = {BIT_HAS_JPEG != 0, BIT_HAS_PNG != 0, BIT_HAS_WEBP != 0};
#ifdef BIT_TEST_MIXED
  if (odr::features_without_libraries({}) != 2048) return 2;
#endif
  return here == linked && odr::decoders_without_libraries() == std::array{false, false, false} ? 0 : 1;
}
