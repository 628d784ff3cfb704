// How many threads this process may sensibly use.
#pragma once

#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline v0::detail {

/// OMP_NUM_THREADS if it is set; otherwise the processors of the affinity mask, but no more than the cgroup's CPU
/// quota rounded up. At least 1.
BIT_FUNC std::size_t usable_threads();

/// `wanted`, or 1 in a child forked from a process that has asked this before: there libgomp still believes in the
/// parent's threads and waits for them for ever (gcc bug 52303). Every parallel region asks.
BIT_FUNC int region_threads(std::size_t wanted);

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/threads.ipp>
#endif
