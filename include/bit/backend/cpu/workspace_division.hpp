// SPDX-License-Identifier: Apache-2.0
// How a run's workspace is divided.
#pragma once

#include <bit/backend/cpu/work_stealing_queue.hpp>
#include <bit/detail/aligned_buffer.hpp>
#include <cstddef>

namespace bit::inline BIT_ABI::detail {

/// How a run divides its workspace: a slot of the work queue for each thread, the arena, scratch for each thread.
struct workspace_division {
  std::size_t arena_bytes = 0, scratch_bytes = 0;  ///< multiples of 64

  std::size_t bytes(std::size_t threads) const { return arena_bytes + threads * (scratch_bytes + sizeof(work_slot)); }
  std::byte* arena(const aligned_buffer<std::byte>& workspace, std::size_t threads) const {
    return workspace.data() + threads * sizeof(work_slot);
  }
};

}  // namespace bit::inline BIT_ABI::detail
