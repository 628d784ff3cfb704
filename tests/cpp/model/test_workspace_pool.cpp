// SPDX-License-Identifier: Apache-2.0
// Workspaces between calls: as many as are used at once stay, and those of a burst are given back.
#include <doctest/doctest.h>
#include <bit/model/workspace_pool.hpp>
#include <new>
#include <optional>
#include <vector>

namespace {

int alive = 0;

struct workspace {
  explicit workspace(std::size_t bytes) : size(bytes) {
    if (bytes > 1000) throw std::bad_alloc();
    ++alive;
  }
  ~workspace() { --alive; }
  workspace(const workspace&) = delete;
  workspace& operator=(const workspace&) = delete;
  std::size_t size;
};

using pool = bit::detail::workspace_pool<workspace>;

/// A call at a time.
void calls(pool& workspaces, int count, std::size_t bytes) {
  for (int i = 0; i < count; ++i) CHECK((*workspaces.take(bytes)).size >= bytes);
}

/// `count` calls at the same time.
void burst(pool& workspaces, int count, std::size_t bytes) {
  if (count == 0) return;
  const auto call = workspaces.take(bytes);
  burst(workspaces, count - 1, bytes);
}

}  // namespace

TEST_CASE("after a burst one workspace per call at once is kept, and after 128 quiet calls only theirs") {
  {
    pool workspaces;
    calls(workspaces, 10, 50);
    CHECK(alive == 1);  // the same one for all
    burst(workspaces, 16, 100);
    CHECK(alive == 16);
    CHECK(workspaces.idle_bytes() == 1600);
    burst(workspaces, 16, 100);
    CHECK(alive == 16);  // kept: bursts that come often allocate nothing
    calls(workspaces, 128, 50);
    CHECK(alive == 1);
    CHECK(workspaces.idle_bytes() <= 100);
    calls(workspaces, 128, 50);
    CHECK(workspaces.idle_bytes() == 50);  // nor does a small call hold a large workspace for ever
    workspaces.clear();
    CHECK(alive == 0);
    calls(workspaces, 1, 50);
  }
  CHECK(alive == 0);
}

TEST_CASE("sizes that take turns are served by one workspace that is never replaced") {
  pool workspaces;
  calls(workspaces, 1, 100);
  const workspace* const first = &*workspaces.take(100);
  for (int i = 0; i < 300; ++i) {
    CHECK(&*workspaces.take(i % 2 ? 100 : 10) == first);
    CHECK(alive == 1);
  }
}

TEST_CASE("a workspace that cannot be made counts as no call") {
  pool workspaces;
  calls(workspaces, 1, 10);
  for (int i = 0; i < 200; ++i) CHECK_THROWS_AS(workspaces.take(2000), std::bad_alloc);
  calls(workspaces, 200, 10);
  CHECK(alive == 1);
}
