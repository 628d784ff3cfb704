// SPDX-License-Identifier: Apache-2.0
// Bodies of io/metadata.hpp.
#pragma once

#include <charconv>

#include <bit/detail/json.hpp>
#include <bit/error.hpp>
#include <bit/io/metadata.hpp>

namespace bit::inline BIT_ABI::io {

BIT_FUNC checkpoint_metadata read_metadata(const checkpoint& from) {
  checkpoint_metadata about;
  if (const auto labels = from.metadata.find("bit.labels"); labels != from.metadata.end()) {
    try {
      about.labels = detail::read_json_list(labels->second);
    } catch (const detail::json_error& e) {
      throw format_error(from.source + ": the metadata entry bit.labels is no list of names: " + e.what());
    }
    if (about.labels.size() != from.config.num_classes)
      throw format_error(from.source + ": expected as many labels as classes, " +
                         std::to_string(from.config.num_classes) + ", got " + std::to_string(about.labels.size()));
  }
  if (const auto size = from.metadata.find("bit.input_size"); size != from.metadata.end()) {
    const std::string& text = size->second;
    std::size_t side = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
    if (error != std::errc() || end != text.data() + text.size() || side == 0)
      throw format_error(from.source + ": expected the metadata entry bit.input_size to be a number of pixels, got \"" +
                         text + "\"");
    about.input_size = side;
  }
  return about;
}

}  // namespace bit::inline BIT_ABI::io
