// SPDX-License-Identifier: Apache-2.0
// The rule that makes a step fit the memory, and what the machine is asked.
#include <doctest/doctest.h>
#include <unistd.h>
#include <bit/error.hpp>
#include <bit/train/memory.hpp>
#include <fstream>

#include "../scratch.hpp"

using namespace bit::train;
using bit::recomputation;

namespace {

/// 1000 bytes whatever is done, and 100 for each image of a part, 60 with recomputation.
memory_estimate made_up(std::size_t part, recomputation how) {
  return {.parameters = 1000, .workspace = part * (how == recomputation::units ? 60 : 100)};
}
step_schedule fitted(std::uint64_t limit, std::optional<std::size_t> split = {},
                     std::optional<recomputation> how = {}) {
  return fit_step({.batch = 32, .batch_split = split, .recompute = how, .limit = limit}, made_up);
}

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

}  // namespace

TEST_CASE("the cheapest way that fits is taken: parts first, recomputation when parts would be very small") {
  CHECK(fitted(1000 + 3200).batch_split == 1);
  CHECK(fitted(1000 + 3199).batch_split == 2);
  const auto four = fitted(1000 + 400);
  CHECK(four.batch_split == 8);
  CHECK(four.recompute == recomputation::none);
  const auto units = fitted(1000 + 120);  // parts of 2 images with recomputation cost less than single ones without
  CHECK(units.batch_split == 16);
  CHECK(units.recompute == recomputation::units);
  CHECK(units.memory.total() == 1120);
  CHECK(fitted(1000 + 110).batch_split == 32);
  CHECK(fitted(1000 + 110).recompute == recomputation::none);
  CHECK(fitted(1000 + 60).recompute == recomputation::units);
  CHECK(relative_cost(2, recomputation::units) < relative_cost(1, recomputation::none));
  CHECK(relative_cost(2, recomputation::none) < relative_cost(4, recomputation::units));
}

TEST_CASE("what the caller wants is kept, and what cannot be is said with the least bytes possible") {
  CHECK(fitted(1000 + 900, {}, recomputation::units).batch_split == 4);
  CHECK(fitted(1000 + 150, {}, recomputation::none).batch_split == 32);
  CHECK(fitted(1000 + 500, 4).recompute == recomputation::units);
  const auto large = fitted(10, 4, recomputation::none);  // given by hand: taken as it is
  CHECK(large.batch_split == 4);
  CHECK(large.memory.total() == 1800);
  CHECK_THROWS_WITH_AS(fitted(1059), doctest::Contains("(1060 bytes) with its units recomputed"), bit::config_error);
  CHECK_THROWS_WITH_AS(fitted(1059, {}, recomputation::none), doctest::Contains("(1100 bytes), which is the least"),
                       bit::config_error);
  CHECK_THROWS_AS(fitted(5000, 33), bit::config_error);
  CHECK_THROWS_AS(fitted(5000, 0), bit::config_error);
}

TEST_CASE("usable memory is what the machine has available, or the tightest control group, less a tenth") {
  const scratch_folder scratch;
  const std::filesystem::path root = scratch.path();
  write(root / "proc/meminfo", "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    1000 kB\n");
  write(root / "proc/self/status", "Name:\tx\nVmRSS:\t  500 kB\n");
  CHECK(usable_memory(root) == 1024 * (500 + 900));
  write(root / "proc/self/cgroup", "4:memory:/jobs/mine\n0::/jobs\n");
  const auto two = root / "sys/fs/cgroup/jobs";
  write(two / "memory.max", "max\n");
  write(two / "memory.current", "1\n");
  CHECK(usable_memory(root) == 1024 * (500 + 900));
  write(two / "memory.max", std::to_string(1024 * 700));
  write(two / "memory.current", std::to_string(1024 * 400));
  write(two / "memory.stat", "anon 1\ninactive_file " + std::to_string(1024 * 100) + "\n");
  CHECK(usable_memory(root) == 1024 * (500 + 360));  // 700 - (400 - 100), and nine tenths of that
  const auto one = root / "sys/fs/cgroup/memory/jobs/mine";
  write(one / "memory.limit_in_bytes", std::to_string(1024 * 300));
  write(one / "memory.usage_in_bytes", std::to_string(1024 * 200));
  CHECK(usable_memory(root) == 1024 * (500 + 90));
  write(one / "memory.usage_in_bytes", std::to_string(1024 * 301));
  CHECK(usable_memory(root) == 1024 * 500);
  CHECK(usable_memory() > 0);
  CHECK(usable_memory() <=
        static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
}

TEST_CASE("sizes as people read them") {
  CHECK(size_text(12 << 20) == "12 MiB");
  CHECK(size_text(std::uint64_t{17} << 27) == "2.1 GiB");
  CHECK(to_string(recomputation::units) == std::string("units"));
}
