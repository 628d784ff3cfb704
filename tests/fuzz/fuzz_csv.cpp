// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any text as a CSV list; only a format_error may come out, and no field holds more than the text.
#include <bit/data/csv.hpp>
#include <bit/error.hpp>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    std::size_t line = 0, total = 0;
    for (const auto& record : bit::data::detail::parse_csv({reinterpret_cast<const char*>(data), size}, "list")) {
      if (record.line <= line || record.fields.empty()) std::abort();
      line = record.line;
      for (const std::string& field : record.fields) total += field.size();
    }
    if (total > size) std::abort();
  } catch (const bit::format_error&) {
  }
  return 0;
}
