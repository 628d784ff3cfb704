// How many threads this process may sensibly use.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <filesystem>

namespace bit::inline v0::detail {

/// Where the system tells the control group of this process and its limits; tests give other places.
struct cgroup_files {
  std::filesystem::path membership = "/proc/self/cgroup", root = "/sys/fs/cgroup";
};

/// Processors' worth of time, rounded up, that the control group and those above it grant; 0 if none sets a limit.
/// cpu.max of version 2 ("quota period" or "max period"), cpu.cfs_quota_us and cpu.cfs_period_us of version 1.
BIT_FUNC std::size_t cgroup_processors(const cgroup_files& files = {});

/// OMP_NUM_THREADS if it is set; otherwise the processors of the affinity mask, but no more than the cgroup's CPU
/// quota rounded up. Never more than OMP_THREAD_LIMIT; at least 1.
BIT_FUNC std::size_t usable_threads();

/// The most threads that a call takes, whatever it asks for: four times the machine's processors or 64, whichever is more,
/// and never more than OMP_THREAD_LIMIT. More threads than processors gain nothing; libgomp ends the process when the
/// system refuses one, and each takes scratch memory.
BIT_FUNC std::size_t most_threads();

/// `wanted`, at most most_threads(), or 1 in a child forked from a process that has asked this before: there libgomp still believes in the
/// parent's threads and waits for them for ever (gcc bug 52303). Every parallel region asks.
BIT_FUNC int region_threads(std::size_t wanted);

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/threads.ipp>
#endif
