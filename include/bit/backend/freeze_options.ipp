// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/freeze_options.hpp.
#pragma once

#include <array>
#include <bit/backend/freeze_options.hpp>
#include <bit/error.hpp>
#include <string>

namespace bit::inline BIT_ABI {
namespace detail {

/// In the order of the enumeration.
inline constexpr std::array<std::string_view, 5> algorithm_names = {"auto", "direct", "winograd", "winograd_2x2",
                                                                    "winograd_4x4"};

}  // namespace detail

BIT_FUNC std::string_view name_of(algorithm a) { return detail::algorithm_names[static_cast<std::size_t>(a)]; }

BIT_FUNC algorithm algorithm_of(std::string_view name) {
  std::string names;
  for (std::size_t i = 0; i < detail::algorithm_names.size(); ++i) {
    if (detail::algorithm_names[i] == name) return static_cast<algorithm>(i);
    names += (i > 0 ? ", " : "") + std::string(detail::algorithm_names[i]);
  }
  throw config_error("[freeze] expected algorithm to be one of " + names + ", got \"" + std::string(name) + "\"");
}

}  // namespace bit::inline BIT_ABI
