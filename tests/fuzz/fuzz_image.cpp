// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes through probe() and decode(); only this library's errors may come out.
#include <bit/data/image.hpp>
#include <bit/error.hpp>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  // A small limit keeps each run short; the limit itself is what stands between a header and a huge allocation.
  const bit::data::decode_options options{.max_pixels = std::size_t{1} << 20};
  try {
    const auto info = bit::data::probe(bytes, options);
    if (info.height * info.width > options.max_pixels) std::abort();
    const auto image = bit::data::decode(bytes, options);
    if (image.size() != 3 * info.height * info.width) std::abort();
  } catch (const bit::format_error&) {
  } catch (const bit::config_error&) {
  }
  return 0;
}
