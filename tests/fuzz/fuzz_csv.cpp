// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any text as a CSV list; only a format_error may come out, and no field holds more than the text.
#include <bit/data/csv.hpp>
#include <bit/data/name.hpp>
#include <bit/error.hpp>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    using namespace bit::data::detail;
    std::size_t line = 0, total = 0;
    const std::string text = utf8_text({reinterpret_cast<const char*>(data), size}, "utf-8", "list");
    if (bit::data::escaped_name(text).size() < text.size()) std::abort();
    for (const auto& record : parse_csv(text, "list", size % 2 == 0 ? ',' : ';')) {
      if (record.line <= line || record.fields.empty()) std::abort();
      line = record.line;
      for (const std::string& field : record.fields) total += field.size();
    }
    if (total > text.size()) std::abort();
  } catch (const bit::format_error&) {
  }
  return 0;
}
