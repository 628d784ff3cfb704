// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes as the header of an npy array; only a format_error may come out, and what is accepted is sane.
#include <bit/error.hpp>
#include <bit/io/npy.hpp>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto header = bit::detail::parse_npy_header({reinterpret_cast<const std::byte*>(data), size}, "x.npy");
    if (header.data_offset > size || header.data_offset > bit::detail::max_npy_header ||
        !bit::io::byte_count(header.shape, header.type))
      std::abort();
  } catch (const bit::format_error&) {
  }
  return 0;
}
