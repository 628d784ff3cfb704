// SPDX-License-Identifier: Apache-2.0
// How many threads this process may sensibly use.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <filesystem>

namespace bit::inline BIT_ABI::detail {

/// The files in which the system describes the control group of this process and its limits. Tests name other files.
struct cgroup_files {
  std::filesystem::path membership = "/proc/self/cgroup", root = "/sys/fs/cgroup";
};

/// The number of processors, rounded up, whose time the control group and those above it grant; 0 if none sets a limit.
/// It is read from cpu.max in version 2 ("quota period" or "max period"), from cpu.cfs_quota_us and cpu.cfs_period_us
/// in version 1.
BIT_FUNC std::size_t cgroup_processors(const cgroup_files& files = {});

/// How many threads a call uses by default: OMP_NUM_THREADS if it is set, else the processors in the affinity mask, but
/// no more than the control group's CPU quota rounded up. Never more than OMP_THREAD_LIMIT, at least 1. Thread-safe.
BIT_FUNC std::size_t usable_threads();

/// The most threads that a call takes, whatever is requested: four times the machine's processors or 64, whichever is more,
/// and never more than OMP_THREAD_LIMIT. More threads than processors gain nothing; libgomp ends the process when the
/// system refuses one, and each takes scratch memory.
BIT_FUNC std::size_t most_threads();

/// The number of threads for a parallel region: `wanted` but at most most_threads(), or 1 in a child forked from a process
/// that had other threads. There libgomp would wait for ever for the parent's threads, which do not exist in the child
/// (gcc bug 52303), whether our regions started them or the program's own. A library that is loaded by dlopen after the
/// fork cannot know: there the program sets OMP_NUM_THREADS=1. Every parallel region takes its number of threads from here.
BIT_FUNC int region_threads(std::size_t wanted);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/threads.ipp>
#endif
