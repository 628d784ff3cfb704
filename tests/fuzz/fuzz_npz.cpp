// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes as an npz archive, headers and all values; only a format_error may come out.
#include <bit/io/npz.hpp>

#include "fuzz_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::read_everything(data, size, [](const auto& file) { return bit::detail::read_npz(file); });
  return 0;
}
