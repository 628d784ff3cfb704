// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/threads.hpp.
#pragma once

#ifndef _OPENMP
#error "the units that hold bit's bodies are compiled and linked with -fopenmp (those with BIT_COMPILED need not be)"
#endif

#include <omp.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit/backend/cpu/threads.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace bit::inline BIT_ABI::detail {

/// The limit that the folder of one control group states, in processors; 0 if it states none.
inline std::size_t folder_processors(const std::filesystem::path& folder) {
  double quota = 0, period = 0;
  std::string first;
  if (std::ifstream v2(folder / "cpu.max"); v2 >> first >> period) {
    quota = first == "max" ? 0 : std::strtod(first.c_str(), nullptr);
  } else {
    std::ifstream v1_quota(folder / "cpu.cfs_quota_us"), v1_period(folder / "cpu.cfs_period_us");
    if (!(v1_quota >> quota) || !(v1_period >> period)) return 0;
  }
  const double processors = quota > 0 && period > 0 ? std::ceil(quota / period) : 0;
  return processors > 0 && processors < 1e6 ? static_cast<std::size_t>(processors) : 0;
}

/// The smallest limit of `group` and of all groups above it, where `controller` is mounted. In a container the group
/// often has the name that the host knows, and no folder of that name; the mount's own folder counts then.
inline std::size_t tightest_limit(const std::filesystem::path& controller, std::filesystem::path group) {
  std::size_t tightest = 0;
  for (group = group.relative_path();; group = group.parent_path()) {
    if (const std::size_t limit = folder_processors(controller / group); limit > 0)
      tightest = tightest > 0 ? std::min(tightest, limit) : limit;
    if (group.empty()) return tightest;
  }
}

/// A line of membership is "number:controllers:/group"; version 2 has no controllers.
BIT_FUNC std::size_t cgroup_processors(const cgroup_files& files) {
  std::string group_v2 = "/", group_v1 = "/", line;
  for (std::ifstream membership(files.membership); std::getline(membership, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controllers == ",,") group_v2 = line.substr(second + 1);
    if (controllers.find(",cpu,") != std::string::npos) group_v1 = line.substr(second + 1);
  }
  std::size_t tightest = 0;
  for (const std::size_t limit : {tightest_limit(files.root, group_v2), tightest_limit(files.root / "cpu", group_v1)})
    if (limit > 0) tightest = tightest > 0 ? std::min(tightest, limit) : limit;
  return tightest;
}

BIT_FUNC std::size_t usable_threads() {
  const auto wanted = static_cast<std::size_t>(std::max(std::min(omp_get_max_threads(), omp_get_thread_limit()), 1));
  static const std::size_t limit = std::getenv("OMP_NUM_THREADS") ? 0 : cgroup_processors();
  return limit > 0 ? std::min(wanted, limit) : wanted;
}

BIT_FUNC std::size_t most_threads() {
  static const long processors = ::sysconf(_SC_NPROCESSORS_CONF);
  const auto limit = static_cast<std::size_t>(std::max(omp_get_thread_limit(), 1));
  return std::min(limit, std::max<std::size_t>(64, 4 * static_cast<std::size_t>(std::max(processors, 1L))));
}

/// Whether this process was forked from one that had other threads. OpenMP's are among them, and whose they are cannot be
/// told: the program's own regions may have started them before ours did.
inline std::atomic<bool> forked_beside_threads = false;
inline std::atomic<std::size_t> threads_at_fork = 0;

/// The number of threads of this process; 2 where the system does not tell.
inline std::size_t count_threads() {
  std::error_code error;
  const std::filesystem::directory_iterator tasks("/proc/self/task", error);
  return error ? 2 : static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

/// Registered when the library is loaded, since a fork cannot be seen afterwards.
inline const int fork_handlers = ::pthread_atfork([] { threads_at_fork = count_threads(); }, nullptr,
                                                  [] {
                                                    if (threads_at_fork > 1) forked_beside_threads = true;
                                                  });

BIT_FUNC int region_threads(std::size_t wanted) {
  return forked_beside_threads ? 1 : static_cast<int>(std::min(wanted, most_threads()));
}

}  // namespace bit::inline BIT_ABI::detail
