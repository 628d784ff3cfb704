// Bodies of backend/cpu/threads.hpp.
#pragma once

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <bit/backend/cpu/threads.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

namespace bit::inline v0::detail {

/// Processors' worth of time that the control group grants, or 0 if it sets no limit: cpu.max of version 2
/// ("quota period" or "max period"), cpu.cfs_quota_us of version 1.
inline std::size_t cgroup_processors() {
  double quota = 0, period = 0;
  std::string first;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> first >> period) {
    if (first == "max") return 0;
    quota = std::strtod(first.c_str(), nullptr);
  } else {
    std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (!(v1_quota >> quota) || !(v1_period >> period)) return 0;
  }
  return quota > 0 && period > 0 ? static_cast<std::size_t>(std::ceil(quota / period)) : 0;
}

BIT_FUNC std::size_t usable_threads() {
  const auto wanted = static_cast<std::size_t>(std::max(omp_get_max_threads(), 1));
  static const std::size_t limit = std::getenv("OMP_NUM_THREADS") ? 0 : cgroup_processors();
  return limit > 0 ? std::min(wanted, limit) : wanted;
}

BIT_FUNC int region_threads(std::size_t wanted) {
  static const pid_t first_asked_by = ::getpid();
  return ::getpid() == first_asked_by ? static_cast<int>(wanted) : 1;
}

}  // namespace bit::inline v0::detail
