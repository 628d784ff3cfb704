// SPDX-License-Identifier: Apache-2.0
// What the system refuses as an error of ours.
#pragma once

#include <bit/error.hpp>
#include <new>

namespace bit::inline BIT_ABI::detail {

/// Calls work(), and turns std::bad_alloc into a memory_error with the text that describe() returns: it says what was
/// needed and what to do.
template <class Describe, class Work>
auto with_memory(Describe describe, Work work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    throw memory_error(describe());
  }
}

}  // namespace bit::inline BIT_ABI::detail
