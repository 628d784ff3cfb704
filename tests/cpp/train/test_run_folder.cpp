// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <bit/train/run_folder.hpp>
#include <cerrno>
#include <memory>

#include "../scratch.hpp"

using bit::train::run_folder;

TEST_CASE("a run's folder is made, and two runs do not share it") {
  const scratch_folder scratch;
  auto first = std::make_unique<run_folder>(scratch / "runs/one");
  CHECK(std::filesystem::is_directory(scratch / "runs/one"));
  CHECK(first->last().filename() == "last.safetensors");
  CHECK(contains(message_of<bit::io_error>([&] { run_folder(scratch / "runs/one"); }), "another process is training"));
  first.reset();
  run_folder(scratch / "runs/one");
  CHECK(std::filesystem::is_empty(scratch / "runs/one"));
}

TEST_CASE("what a killed run left of a file in work is removed, other files stay") {
  const scratch_folder scratch;
  for (const char* name : {".last.safetensors.12.0.tmp", ".best.safetensors.9.3.tmp", "last.safetensors", ".other.tmp"})
    save(scratch / name, "x");
  run_folder(scratch.path());
  CHECK(scratch.entries() == 2);
  CHECK(load(scratch / "last.safetensors") == "x");
}

TEST_CASE("a folder that cannot be made or written is refused by name before any work") {
  const scratch_folder scratch;
  save(scratch / "file", "x");
  CHECK(contains(message_of<bit::io_error>([&] { run_folder(scratch / "file"); }), (scratch / "file").string()));
  CHECK(contains(message_of<bit::io_error>([&] { run_folder(scratch / "file/run"); }), "cannot make the folder"));
  // Root may write anywhere but where nobody can.
  const std::filesystem::path closed = ::geteuid() == 0 ? "/proc/self" : scratch / "closed";
  if (::geteuid() != 0) std::filesystem::create_directory(closed);
  if (::geteuid() != 0) REQUIRE(::chmod(closed.c_str(), 0555) == 0);
  CHECK(contains(message_of<bit::io_error>([&] { run_folder{closed}; }), "cannot write to the folder"));
}
