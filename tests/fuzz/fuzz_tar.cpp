// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes as a tar archive, perhaps gzipped; only a format_error may come out, and no more than deflate can
// make of the file.
#include <bit/data/archive.hpp>

#include "fuzz_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::memory_file memory(data, size);
  std::size_t taken = 0;
  try {
    bit::data::detail::read_tar(
        memory.path(), [](const std::string& name, std::size_t) { return name.size() % 2 == 0; },
        [&](const std::string&, std::vector<std::byte> bytes) { taken += bytes.size(); });
  } catch (const bit::format_error&) {
  }
  if (taken / 1032 > size) std::abort();
  return 0;
}
