// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes as a safetensors file, header and all values; only a format_error may come out.
#include <bit/io/safetensors.hpp>

#include "fuzz_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::read_everything(data, size, [](const auto& file) { return bit::detail::read_safetensors(file).tensors; });
  return 0;
}
