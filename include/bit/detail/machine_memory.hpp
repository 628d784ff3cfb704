// SPDX-License-Identifier: Apache-2.0
// How much memory the machine has, to refuse at once what can never fit.
#pragma once

#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline BIT_ABI::detail {

/// Bytes of main memory and swap space together, used or not. The largest number where the system does not tell.
BIT_FUNC std::size_t machine_memory();

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/detail/machine_memory.ipp>
#endif
