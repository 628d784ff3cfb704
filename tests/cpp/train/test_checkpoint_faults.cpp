// SPDX-License-Identifier: Apache-2.0
// What happens to a run's file when writing it goes wrong: kills, errors and a second writer, call by call.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <bit/train/checkpoint.hpp>
#include <bit/train/run_folder.hpp>
#include <bit/train/sgd.hpp>
#include <cstring>

#include "../scratch.hpp"
#include "file_faults.hpp"
#include "parameters.hpp"

using namespace bit::train;
using file_faults::fault;

namespace {

/// A run's parameters by a seed, and its file.
struct saved_run {
  parameter_set set;
  sgd by;
  explicit saved_run(unsigned seed) : by(fill(set, seed)) {}
  void save(const std::filesystem::path& path) { save_training(path, by, {.step = 1}); }

 private:
  static parameter_set::type& fill(parameter_set& set, unsigned seed) {
    set.add("a/kernel", {40, 30});
    set.add("a/gamma", {4});
    set.randomise(seed);
    return set.get();
  }
};

std::string content_of(unsigned seed) {
  const scratch_folder folder;
  saved_run(seed).save(folder / "last.safetensors");
  return load(folder / "last.safetensors");
}

/// The faults of this life; afterwards files are what they are.
struct faults_now {
  explicit faults_now(fault what, int at = 0, int code = EIO) {
    file_faults::current = {.what = what, .at = at, .code = code};
  }
  ~faults_now() { file_faults::current = {}; }
};

/// What `action` does in a process of its own: the status that waitpid gives.
template <class Action>
int status_of(Action action) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      action();
    } catch (const bit::io_error&) {
      ::_exit(2);
    } catch (...) {
      ::_exit(3);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("killed at each write, sync and rename, a save leaves the old file or the new one, byte for byte") {
  const std::string old_bytes = content_of(1), new_bytes = content_of(2);
  REQUIRE(old_bytes != new_bytes);
  int killed = 0, left_old = 0, left_new = 0;
  for (bool finished = false; !finished; ++killed) {
    REQUIRE(killed < 100);
    const scratch_folder folder;
    const auto path = folder / "last.safetensors";
    saved_run(1).save(path);
    const int status = status_of([&] {
      saved_run next(2);
      const faults_now here(fault::kill, killed);
      next.save(path);
    });
    finished = WIFEXITED(status);
    CHECK((finished ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL));
    const std::string found = load(path);
    CHECK((found == old_bytes || found == new_bytes));
    (found == old_bytes ? left_old : left_new) += !finished;
    saved_run again(3);
    CHECK(restore_training(path, again.by, {}).step == 1);
    run_folder(folder.path());  // the next run in the folder removes what was half written
    CHECK(folder.entries() == 1);
  }
  CHECK(left_old >= 5);  // writes of header, two parameters and their momentum, sync of the file, rename
  CHECK(left_new == 1);  // sync of the folder
}

TEST_CASE("an error at each write, sync and rename names the file and leaves no other") {
  const std::string old_bytes = content_of(1), new_bytes = content_of(2);
  for (const int code : {EIO, ENOSPC, EDQUOT, EROFS}) {
    CAPTURE(code);
    int failed = 0;
    for (bool finished = false; !finished; ++failed) {
      REQUIRE(failed < 100);
      const scratch_folder folder;
      const auto path = folder / "last.safetensors";
      saved_run(1).save(path);
      saved_run next(2);
      std::string text;
      int renames = 0;
      {
        const faults_now here(fault::error, failed, code);
        text = message_of<bit::io_error>([&] { next.save(path); });
        renames = file_faults::current.renames;
        finished = file_faults::current.calls <= failed;
      }
      CHECK(text.empty() == finished);
      if (!finished) CHECK(contains(text, std::strerror(code)));
      if (!finished) CHECK(contains(text, folder.path().string()));
      // The sync of the folder comes after the rename: the new file is there, whole.
      const bool replaced = load(path) == new_bytes;
      CHECK((replaced || load(path) == old_bytes));
      if (replaced) CHECK(renames == 1);
      CHECK(folder.entries() == 1);
    }
    CHECK(failed > 7);
  }
}

TEST_CASE("writes that take less than they were given are gone on with") {
  const std::string new_bytes = content_of(2);
  const scratch_folder folder;
  saved_run next(2);
  const faults_now here(fault::short_write, -1);
  next.save(folder / "last.safetensors");
  CHECK(file_faults::current.writes > 20);  // 5 without the fault
  CHECK(load(folder / "last.safetensors") == new_bytes);
}

TEST_CASE("a folder that became read-only is an error, and the old file stays") {
  const std::string old_bytes = content_of(1);
  const scratch_folder folder;
  const auto path = folder / "run/last.safetensors";
  std::filesystem::create_directory(folder / "run");
  saved_run(1).save(path);
  for (const auto& closed : {folder.path(), folder / "run"}) REQUIRE(::chmod(closed.c_str(), 0555) == 0);
  const int status = status_of([&] {
    // Root may write anywhere, so the attempt is made by who may not: the user "nobody" of every Linux system.
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(4);
    saved_run(2).save(path);
  });
  for (const auto& closed : {folder.path(), folder / "run"}) REQUIRE(::chmod(closed.c_str(), 0755) == 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 2);  // io_error
  CHECK(load(path) == old_bytes);
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "run"), {}) == 1);
}

TEST_CASE("mode and access list of the old file are kept") {
  const scratch_folder folder;
  const auto path = folder / "last.safetensors";
  saved_run(1).save(path);
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  saved_run(2).save(path);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);

  // Version 2; owner rw, user 65534 r, group r, mask r, others none: acl(5) as the kernel keeps it.
  constexpr unsigned char list[] = {2,   0,   0, 0, 1,   0,   6,   0,   255, 255, 255, 255, 2,   0,   4,   0,
                                    254, 255, 0, 0,                                                              //
                                    4,   0,   4, 0, 255, 255, 255, 255, 16,  0,   4,   0,   255, 255, 255, 255,  //
                                    32,  0,   0, 0, 255, 255, 255, 255};
  constexpr const char* name = "system.posix_acl_access";
  if (::setxattr(path.c_str(), name, list, sizeof list, 0) != 0) {
    MESSAGE("this file system has no access lists");
    return;
  }
  saved_run(3).save(path);
  unsigned char found[sizeof list] = {};
  CHECK(::getxattr(path.c_str(), name, found, sizeof found) == static_cast<ssize_t>(sizeof list));
  CHECK(std::equal(std::begin(found), std::end(found), std::begin(list)));
}

TEST_CASE("of two writers to one path, by its name and by a link, each file is one's whole") {
  const std::string contents[2] = {content_of(1), content_of(2)};
  const scratch_folder folder;
  saved_run(1).save(folder / "step.safetensors");
  std::filesystem::create_symlink("step.safetensors", folder / "last");
  pid_t writers[2];
  for (unsigned w = 0; w < 2; ++w) {
    writers[w] = ::fork();
    REQUIRE(writers[w] >= 0);
    if (writers[w] != 0) continue;
    try {
      saved_run own(w + 1);
      for (int i = 0; i < 100; ++i) own.save(folder / (w == 0 ? "step.safetensors" : "last"));
    } catch (...) {
      ::_exit(3);
    }
    ::_exit(0);
  }
  int seen[2] = {}, torn = 0;
  for (int running = 2; running > 0;) {
    const std::string now = load(folder / "last");
    ++(now == contents[0] ? seen[0] : now == contents[1] ? seen[1] : torn);
    int status = 0;
    if (::waitpid(-1, &status, WNOHANG) <= 0) continue;
    --running;
    CHECK(status == 0);
  }
  CHECK(torn == 0);
  CHECK(seen[0] + seen[1] > 2);
  CHECK(std::filesystem::is_symlink(folder / "last"));
  CHECK(folder.entries() == 2);
}
