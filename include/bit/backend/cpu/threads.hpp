// How many threads this process may sensibly use.
#pragma once

#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline v0::detail {

/// OMP_NUM_THREADS if it is set; otherwise the processors of the affinity mask, but no more than the cgroup's CPU
/// quota rounded up. At least 1.
BIT_FUNC std::size_t usable_threads();

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/threads.ipp>
#endif
