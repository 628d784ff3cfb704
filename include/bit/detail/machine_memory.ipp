// SPDX-License-Identifier: Apache-2.0
// Bodies of detail/machine_memory.hpp.
#pragma once

#include <bit/detail/machine_memory.hpp>
#include <limits>

#if defined(__linux__)
#include <sys/sysinfo.h>
#endif

namespace bit::inline BIT_ABI::detail {

BIT_FUNC std::size_t machine_memory() {
#if defined(__linux__)
  struct sysinfo info {};
  if (::sysinfo(&info) == 0) return (std::size_t{info.totalram} + info.totalswap) * info.mem_unit;
#endif
  return std::numeric_limits<std::size_t>::max();
}

}  // namespace bit::inline BIT_ABI::detail
