// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <atomic>
#include <bit/data/ordered_tasks.hpp>
#include <bit/error.hpp>
#include <chrono>
#include <stdexcept>
#include <thread>

using bit::data::detail::ordered_tasks;

TEST_CASE("results come in the order of the tasks, however long each takes") {
  for (std::size_t threads : {1u, 2u, 7u}) {
    ordered_tasks tasks(threads, 5);
    std::size_t seen = 0;
    while (seen < 200) {
      while (tasks.pushed() < 200 && tasks.room() > 0)
        tasks.push([i = tasks.pushed()](std::vector<float>& out) {
          if (i % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
          out.assign(2, static_cast<float>(i));
        });
      float out[2] = {};
      CHECK_FALSE(tasks.take(out));
      CHECK(out[1] == static_cast<float>(seen++));
    }
    CHECK(tasks.taken() == 200);
  }
}

TEST_CASE("what a task throws is handed over in its turn, the others go on") {
  ordered_tasks tasks(2, 3);
  tasks.push([](std::vector<float>& out) { out.assign(1, 1.0f); });
  tasks.push([](std::vector<float>&) { throw bit::format_error("bad file"); });
  tasks.push([](std::vector<float>& out) { out.assign(1, 3.0f); });
  float out = 0;
  CHECK_FALSE(tasks.take(&out));
  CHECK(out == 1);
  const auto failure = tasks.take(&out);
  CHECK(bit::data::detail::fault_of_file(failure) == "bad file");
  CHECK_FALSE(tasks.take(&out));
  CHECK(out == 3);
  CHECK_FALSE(bit::data::detail::fault_of_file(std::make_exception_ptr(std::runtime_error("other"))));
  CHECK(bit::data::detail::fault_of_file(std::make_exception_ptr(bit::io_error("gone", 2))) == "gone");
}

TEST_CASE("waiting is counted, and what is ready costs none") {
  ordered_tasks tasks(1, 2);
  float out = 0;
  std::atomic<bool> taking = false, next_begun = false;
  tasks.push([&](std::vector<float>& o) {
    while (!taking) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    o.assign(1, 1.0f);
  });
  taking = true;
  tasks.take(&out);
  const double before = tasks.waited_seconds();
  CHECK(before > 0);
  tasks.push([](std::vector<float>& o) { o.assign(1, 2.0f); });
  tasks.push([&](std::vector<float>& o) {
    next_begun = true;
    o.assign(1, 3.0f);
  });
  while (!next_begun) std::this_thread::yield();  // the one thread marks a task as ready before it begins the next
  tasks.take(&out);
  CHECK(out == 2);
  CHECK(tasks.waited_seconds() == before);
}

TEST_CASE("stopping drops what has not begun") {
  std::atomic<int> begun = 0;
  {
    ordered_tasks tasks(2, 1000);
    for (int i = 0; i < 1000; ++i)
      tasks.push([&](std::vector<float>& o) {
        ++begun;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        o.clear();
      });
    while (begun == 0) std::this_thread::yield();
  }
  CHECK(begun < 1000);
  ordered_tasks none(0, 0);
  CHECK(none.room() == 0);
}
