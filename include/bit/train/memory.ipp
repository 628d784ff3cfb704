// SPDX-License-Identifier: Apache-2.0
// Bodies of train/memory.hpp.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/train/memory.hpp>
#include <fstream>
#include <limits>
#include <tuple>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// The number behind `key` in a file of lines "key number ..."; without a key the file's first number. Nothing if it is
/// not there or a word like "max".
inline std::optional<std::uint64_t> number_in(const std::filesystem::path& file, const std::string& key = "") {
  std::ifstream in(file);
  std::string word;
  while (!key.empty() && in >> word && word != key) in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  std::uint64_t number = 0;
  if (in >> number) return number;
  return std::nullopt;
}

/// What a control group leaves: its limit less what is used and could not be dropped.
inline std::optional<std::uint64_t> left_in(const std::filesystem::path& group, const char* limit, const char* usage,
                                            const char* droppable) {
  const auto most = number_in(group / limit), used = number_in(group / usage);
  if (!most || !used) return std::nullopt;
  const std::uint64_t held = *used - std::min(*used, number_in(group / "memory.stat", droppable).value_or(0));
  return *most - std::min(*most, held);
}

/// Folders of this process's control groups, from its own to the outermost; version 1 keeps memory apart.
inline std::vector<std::filesystem::path> control_groups(const std::filesystem::path& root) {
  const auto top = root / "sys/fs/cgroup";
  std::vector<std::filesystem::path> folders{top, top / "memory"};
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const bool second = line.starts_with("0::");
    if (!second && line.find(":memory:") == std::string::npos) continue;
    auto path = std::filesystem::path(line.substr(line.rfind(':') + 1)).relative_path();
    for (; !path.empty(); path = path.parent_path()) folders.push_back((second ? top : top / "memory") / path);
  }
  return folders;
}

/// A way of a step and what it costs.
struct costed_schedule {
  double cost;
  std::size_t split;
  recomputation how;
};

inline std::vector<costed_schedule> schedules_of(const train::step_constraints& constraints) {
  std::vector<std::size_t> splits;
  if (constraints.batch_split) {
    splits.push_back(*constraints.batch_split);
  } else {
    for (std::size_t split = 1; split < constraints.batch; split *= 2) splits.push_back(split);
    splits.push_back(constraints.batch);
  }
  std::vector<costed_schedule> ways;
  for (const std::size_t split : splits)
    for (const auto how : {recomputation::none, recomputation::units})
      if (how == constraints.recompute.value_or(how))
        ways.push_back({train::relative_cost((constraints.batch + split - 1) / split, how), split, how});
  std::ranges::sort(ways, {}, [](const costed_schedule& w) { return std::tuple(w.cost, w.split, w.how); });
  return ways;
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC double relative_cost(std::size_t part, recomputation how) {
  return (1 + 0.75 / static_cast<double>(part)) * (how == recomputation::units ? 1.2 : 1.0);
}

BIT_FUNC step_schedule fit_step(const step_constraints& constraints,
                                const std::function<memory_estimate(std::size_t part, recomputation)>& estimate) {
  if (const auto split = constraints.batch_split; split && (*split == 0 || *split > constraints.batch))
    throw config_error("[memory] expected a batch_split in 1.." + std::to_string(constraints.batch) + ", got " +
                       std::to_string(*split));
  std::optional<step_schedule> least;
  for (const auto& [cost, split, how] : detail::schedules_of(constraints)) {
    const step_schedule way{split, how, estimate((constraints.batch + split - 1) / split, how)};
    if (way.memory.total() <= constraints.limit) return way;
    if (!least || way.memory.total() < least->memory.total()) least = way;
  }
  if (constraints.batch_split) return *least;
  throw config_error("[memory] one image at a time needs about " + size_text(least->memory.total()) + " (" +
                     std::to_string(least->memory.total()) + " bytes)" +
                     (least->recompute == recomputation::units ? " with its units recomputed" : "") +
                     ", which is the least; the limit is " + size_text(constraints.limit) +
                     ". Allow more memory, let fewer parameters learn, or take a smaller network or resolution");
}

BIT_FUNC std::uint64_t usable_memory(const std::filesystem::path& root) {
  constexpr std::uint64_t kib = 1024;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t available = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * page;
  if (const auto found = detail::number_in(root / "proc/meminfo", "MemAvailable:")) available = kib * *found;
  for (const auto& group : detail::control_groups(root)) {
    auto left = detail::left_in(group, "memory.max", "memory.current", "inactive_file");
    if (!left) left = detail::left_in(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
    if (left) available = std::min(available, *left);
  }
  const std::uint64_t held = kib * detail::number_in(root / "proc/self/status", "VmRSS:").value_or(0);
  return held + available / 10 * 9;
}

BIT_FUNC std::string size_text(std::uint64_t bytes) { return detail::size_text(bytes); }

BIT_FUNC const char* to_string(recomputation how) { return how == recomputation::units ? "units" : "none"; }

}  // namespace bit::inline BIT_ABI::train
