// SPDX-License-Identifier: Apache-2.0
// How many threads a process takes: control groups, affinity, OpenMP's environment, forks. What the process must be
// born with is tested in a child of its own: this binary again, with one of the "child:" cases below.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bit/backend/cpu/threads.hpp>
#include <bit/resnet.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "random_data.hpp"

namespace {

namespace fs = std::filesystem;

/// A folder of files that goes with it.
struct folder {
  fs::path path = fs::temp_directory_path() / ("bit_threads_" + std::to_string(::getpid()));
  folder() { fs::create_directories(path); }
  ~folder() { fs::remove_all(path); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
  }
};

/// The limit that these files state.
std::size_t limit_of(const std::map<std::string, std::string>& files) {
  const folder f;
  for (const auto& [name, text] : files) f.write(name, text);
  return bit::detail::cgroup_processors({f.path / "self", f.path / "cgroup"});
}

const bit::resnet_config small{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};

/// Logits that every child must get to the bit, whatever its threads.
std::vector<float> logits(std::size_t threads) {
  bit::run_options options;
  options.threads = threads;
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto y = model(test::random_images({2, 3, 57, 40}, 1), bit::layout::nchw, options);
  return {y.begin(), y.end()};
}

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// Runs a "child:" case with more environment, on one processor if asked; true if it passed.
bool child_passes(const std::string& name, const std::map<std::string, std::string>& variables,
                  bool one_processor = false, bool quietly = false) {
  const folder f;
  const fs::path expected = f.path / "logits";
  const auto y = logits(1);
  std::ofstream(expected, std::ios::binary)
      .write(reinterpret_cast<const char*>(y.data()), static_cast<std::streamsize>(y.size() * sizeof(float)));
  const fs::path self = fs::read_symlink("/proc/self/exe");
  const std::string which = "--test-case=child: " + name;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(120);  // a child that hangs dies of it
    for (const auto& [key, value] : variables) ::setenv(key.c_str(), value.c_str(), 1);
    if (quietly && !std::freopen("/dev/null", "w", stdout)) ::_exit(127);
    ::setenv("BIT_TEST_LOGITS", expected.c_str(), 1);
    cpu_set_t mask, one;
    CPU_ZERO(&one);
    ::sched_getaffinity(0, sizeof mask, &mask);
    for (int i = CPU_SETSIZE - 1; i >= 0; --i)
      if (CPU_COUNT(&one) == 0 && CPU_ISSET(i, &mask)) CPU_SET(i, &one);
    if (one_processor) ::sched_setaffinity(0, sizeof one, &one);
    ::execl(self.c_str(), self.c_str(), which.c_str(), "--no-skip", "--minimal", nullptr);
    ::_exit(127);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::vector<float> expected_logits() {
  std::vector<float> y(20);
  std::ifstream(environment("BIT_TEST_LOGITS"), std::ios::binary).read(reinterpret_cast<char*>(y.data()), 80);
  return y;
}

}  // namespace

TEST_CASE("control groups: version 2, in this group, above it, and as a container sees it") {
  CHECK(limit_of({}) == 0);
  CHECK(limit_of({{"self", "0::/\n"}, {"cgroup/cpu.max", "max 100000\n"}}) == 0);
  CHECK(limit_of({{"self", "0::/\n"}, {"cgroup/cpu.max", "150000 100000\n"}}) == 2);
  CHECK(limit_of({{"self", "0::/\n"}, {"cgroup/cpu.max", "1000 100000\n"}}) == 1);
  CHECK(limit_of(
            {{"self", "0::/a/b\n"}, {"cgroup/a/b/cpu.max", "max 100000\n"}, {"cgroup/a/cpu.max", "300000 100000\n"}}) ==
        3);
  CHECK(limit_of({{"self", "0::/a/b\n"},
                  {"cgroup/a/b/cpu.max", "700000 100000\n"},
                  {"cgroup/a/cpu.max", "200000 100000\n"}}) == 2);
  CHECK(limit_of({{"self", "0::/docker/1f\n"}, {"cgroup/cpu.max", "400000 100000\n"}}) == 4);
}

TEST_CASE("control groups: version 1, alone and beside version 2") {
  const std::string self = "4:memory:/m\n3:cpu,cpuacct:/a\n0::/u\n";
  CHECK(limit_of(
            {{"self", self}, {"cgroup/cpu/a/cpu.cfs_quota_us", "-1"}, {"cgroup/cpu/a/cpu.cfs_period_us", "100000"}}) ==
        0);
  CHECK(limit_of({{"self", self},
                  {"cgroup/cpu/a/cpu.cfs_quota_us", "250000"},
                  {"cgroup/cpu/a/cpu.cfs_period_us", "100000"}}) == 3);
  CHECK(limit_of(
            {{"self", self}, {"cgroup/cpu/cpu.cfs_quota_us", "50000"}, {"cgroup/cpu/cpu.cfs_period_us", "100000"}}) ==
        1);
  CHECK(limit_of({{"self", self},
                  {"cgroup/memory/a/cpu.cfs_quota_us", "50000"},
                  {"cgroup/memory/a/cpu.cfs_period_us", "1"}}) == 0);
}

TEST_CASE("control groups: files that make no sense set no limit") {
  for (const char* text : {"", "max", "0 100000", "-5 100000", "100000 0", "nan nan", "1e300 1", "x y\n"}) {
    CAPTURE(text);
    CHECK(limit_of({{"self", "0::/\n"}, {"cgroup/cpu.max", text}}) == 0);
  }
  CHECK(limit_of({{"self", "no colons\n::\n0::/../../..\n"}, {"cgroup/cpu.max", "100000 100000"}}) == 1);
}

TEST_CASE("one processor in the affinity mask makes one thread, and the same bits") {
  CHECK(child_passes("threads", {{"BIT_TEST_THREADS", "1"}}, true));
  CHECK_FALSE(child_passes("threads", {{"BIT_TEST_THREADS", "7"}}, true, true));  // negative control
}

TEST_CASE("OpenMP's environment is honoured, and the bits do not depend on it") {
  using variables = std::map<std::string, std::string>;
  const variables cases[] = {
      {{"OMP_NUM_THREADS", "1"}, {"BIT_TEST_THREADS", "1"}},
      {{"OMP_NUM_THREADS", "5"}, {"BIT_TEST_THREADS", "5"}},
      {{"OMP_NUM_THREADS", "3,2"}, {"BIT_TEST_THREADS", "3"}},
      {{"OMP_NUM_THREADS", "4"}, {"OMP_THREAD_LIMIT", "2"}, {"BIT_TEST_THREADS", "2"}},
      {{"OMP_NUM_THREADS", "3"}, {"OMP_DYNAMIC", "true"}, {"BIT_TEST_THREADS", "3"}},
      {{"OMP_NUM_THREADS", "2"}, {"OMP_MAX_ACTIVE_LEVELS", "0"}, {"BIT_TEST_THREADS", "2"}},
      {{"OMP_NUM_THREADS", "2"}, {"OMP_WAIT_POLICY", "passive"}, {"OMP_STACKSIZE", "256k"}, {"BIT_TEST_THREADS", "2"}},
      {{"OMP_NUM_THREADS", "2"}, {"OMP_PROC_BIND", "true"}, {"OMP_PLACES", "cores"}, {"BIT_TEST_THREADS", "2"}},
  };
  for (const variables& v : cases) {
    CAPTURE(v.at("OMP_NUM_THREADS"));
    CHECK(child_passes("threads", v));
  }
}

TEST_CASE("a process that forks before its first use may use threads in the child, too") {
  CHECK(child_passes("forked before use", {{"OMP_NUM_THREADS", "2"}}));
}

TEST_CASE("a process that forks after OpenMP regions of its own does not wait for their threads in the child") {
  CHECK(child_passes("forked after foreign regions", {{"OMP_NUM_THREADS", "2"}}));
}

// Only ever run by the cases above.
TEST_CASE("child: threads" * doctest::skip()) {
  if (*environment("BIT_TEST_LOGITS") == 0) return;
  CHECK(std::to_string(bit::detail::usable_threads()) == environment("BIT_TEST_THREADS"));
  CHECK(logits(0) == expected_logits());
  CHECK(logits(3) == expected_logits());
}

/// Returns whether `passes` is true in a child process that is forked here, within a minute.
bool forked_child_passes(bool (*passes)()) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(60);  // a child that hangs dies of it
    ::_exit(passes() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("child: forked before use" * doctest::skip()) {
  if (*environment("BIT_TEST_LOGITS") == 0) return;
  CHECK(forked_child_passes([] { return bit::cpu<float>::threads(2) == 2 && logits(2) == expected_logits(); }));
  CHECK(logits(2) == expected_logits());  // the parent as well
}

TEST_CASE("child: forked after foreign regions" * doctest::skip()) {
  if (*environment("BIT_TEST_LOGITS") == 0) return;
  int reached = 0;
#pragma omp parallel num_threads(2) reduction(+ : reached)
  reached += 1;
  REQUIRE(reached == 2);
  CHECK(forked_child_passes([] { return bit::cpu<float>::threads(2) == 1 && logits(2) == expected_logits(); }));
  CHECK(bit::cpu<float>::threads(2) == 2);
}
