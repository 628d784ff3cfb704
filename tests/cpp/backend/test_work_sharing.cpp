// SPDX-License-Identifier: Apache-2.0
// The work queue: nothing is lost, done twice or read too early. What threads share here is plain memory on purpose: the
// thread sanitizer reports every access that the queue fails to order.
#include <doctest/doctest.h>
#include <bit/backend/cpu/context.hpp>
#include <bit/backend/cpu/work_stealing_queue.hpp>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

namespace {

using bit::detail::spin_policy;
using bit::detail::work_slot;
using bit::detail::work_stealing_queue;

/// Runs body(thread) in `count` threads.
template <class Body>
void in_threads(std::size_t count, const Body& body) {
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < count; ++t) threads.emplace_back([&, t] { body(t); });
  for (std::thread& t : threads) t.join();
}

constexpr std::size_t step_items[] = {7, 1, 0, 100, 2, 0, 0, 3, 33};
constexpr std::size_t steps = std::size(step_items), rounds = 60;

}  // namespace

TEST_CASE("every item of every step is done once, and its result is seen by the next step") {
  for (const int spins : {0, 20, 2000})
    for (const std::size_t threads : {1u, 2u, 3u, 5u}) {
      std::vector<work_slot> slots(threads);
      work_stealing_queue queue(slots);
      std::vector<std::vector<int>> done;
      for (std::size_t s = 0; s < steps * rounds; ++s) done.emplace_back(step_items[s % steps], 0);
      std::vector<std::size_t> mine(threads, 0), unfinished(threads, 0);
      in_threads(threads, [&](std::size_t t) {
        spin_policy waits(spins);
        for (std::size_t s = 0; s < done.size(); ++s) {
          mine[t] += queue.work(s + 1, done[s].size(), t, threads, [&](std::size_t item) { ++done[s][item]; });
          queue.wait(s + 1, waits);
          for (const int times : done[s]) unfinished[t] += times != 1;
        }
      });
      CHECK(unfinished == std::vector<std::size_t>(threads, 0));
      const std::size_t all = std::accumulate(std::begin(step_items), std::end(step_items), std::size_t{0});
      CHECK(std::accumulate(mine.begin(), mine.end(), std::size_t{0}) == rounds * all);
    }
}

TEST_CASE("a thread takes its own share from the front, then the others' from the back") {
  std::vector<work_slot> slots(2);
  work_stealing_queue queue(slots);
  std::vector<std::size_t> order;
  CHECK(queue.work(1, 9, 1, 2, [&](std::size_t item) { order.push_back(item); }) == 9);
  CHECK(order == std::vector<std::size_t>{4, 5, 6, 7, 8, 3, 2, 1, 0});
}

TEST_CASE("steps go through a thread's items forwards and backwards, and what follows is known beforehand") {
  for (const std::size_t threads : {1u, 2u, 3u})
    for (const std::size_t items : {1u, 2u, 9u})
      for (const std::size_t step : {1u, 2u})
        for (std::size_t t = 0; t < threads; ++t) {
          CAPTURE(threads);
          CAPTURE(items);
          CAPTURE(step);
          CAPTURE(t);
          std::vector<work_slot> slots(threads);
          work_stealing_queue queue(slots);
          for (std::size_t before = 1; before < step; ++before) queue.work(before, 0, 0, threads, [](std::size_t) {});
          bit::detail::run_context run{};
          run.thread = t;
          run.threads = threads;
          run.queue = &queue;
          run.step = step;
          std::vector<std::size_t> order;
          run.work(items, [&](std::size_t item) { order.push_back(item); });
          // This thread alone: first its own range, then, the other way round, those of threads that have not come.
          const std::size_t place = run.backwards() ? threads - 1 - t : t;
          const std::size_t own = items * (place + 1) / threads - items * place / threads;
          REQUIRE(order.size() == items);
          CHECK(run.backwards() == (step == 2));
          if (own == 0) continue;
          CHECK(order.front() == run.first_item(items));
          for (std::size_t i = 0; i < own; ++i)
            CHECK(run.following(items, order[i]) == (i + 1 < own ? order[i + 1] : items));
          for (std::size_t i = 1; i < own; ++i) CHECK((order[i] < order[i - 1]) == run.backwards());
        }
}

TEST_CASE("a thread that never comes is not waited for, and finds nothing to do when it does") {
  std::vector<work_slot> slots(3);
  work_stealing_queue queue(slots);
  std::vector<std::size_t> mine(3, 0);
  const auto all_steps = [&](std::size_t t) {
    spin_policy waits(0);
    for (std::size_t s = 0; s < steps; ++s) {
      mine[t] += queue.work(s + 1, step_items[s], t, 3, [](std::size_t) {});
      queue.wait(s + 1, waits);
    }
  };
  in_threads(2, all_steps);
  CHECK(mine[0] + mine[1] == std::accumulate(std::begin(step_items), std::end(step_items), std::size_t{0}));
  all_steps(2);
  CHECK(mine[2] == 0);
}

TEST_CASE("a step lasts until its last item is done") {
  for (const int spins : {0, 2000}) {
    std::vector<work_slot> slots(2);
    work_stealing_queue queue(slots);
    std::atomic<std::size_t> others{0};
    bool last_is_done = false, seen = false;
    in_threads(2, [&](std::size_t t) {
      queue.work(1, 10, t, 2, [&](std::size_t item) {
        if (item != 0) {
          ++others;
          return;
        }
        while (others < 9) std::this_thread::yield();  // another thread does all the rest
        last_is_done = true;
      });
      spin_policy waits(spins);
      queue.wait(1, waits);
      if (t == 1) seen = last_is_done;
    });
    CHECK(seen);
  }
}

TEST_CASE("as many steps and items as the words have room for") {
  std::vector<work_slot> slots(3);
  work_stealing_queue queue(slots);
  std::size_t last = 0, sum = 0;
  CHECK(queue.work(1, work_stealing_queue::max_items, 2, 3, [&](std::size_t item) { last = item, ++sum; }) == sum);
  CHECK(sum == work_stealing_queue::max_items);
  CHECK(last == work_stealing_queue::max_items / 3);  // 2, 0, 1 is the order of shares; the last ends at its first item
  spin_policy waits;
  for (std::size_t step = 2; step <= work_stealing_queue::max_steps; ++step) {
    queue.work(step, step % 3, 0, 3, [&](std::size_t) { --sum; });
    queue.wait(step, waits);
  }
  CHECK(sum == work_stealing_queue::max_items - 65534);
}

TEST_CASE("waits grow short after a long sleep, and long again after sleeping for nothing") {
  using std::chrono::microseconds;
  spin_policy waits;
  CHECK(waits.spins() == spin_policy::at_first);
  waits.slept(microseconds(5000));
  CHECK(waits.spins() == spin_policy::after_long_sleep);
  waits.slept(microseconds(20));
  CHECK(waits.spins() == 2 * spin_policy::after_long_sleep);
  for (int i = 0; i < 5; ++i) waits.slept(microseconds(20));
  CHECK(waits.spins() == spin_policy::at_first);
  waits.slept(spin_policy::long_sleep);
  CHECK(waits.spins() == spin_policy::after_long_sleep);
}

TEST_CASE("the parts of two kernels' weights cover both once, and tiles prefetch every line of a part") {
  std::vector<std::byte> memory(3000);
  const bit::detail::next_weights both{{memory.data(), 640}, {memory.data() + 1000, 1280}};
  std::vector<int> wanted(memory.size(), 0);
  for (std::size_t i = 0; i < 7; ++i) {
    const auto part = both.part(i, i + 1, 7);
    for (const auto& range : {part.first, part.second})
      for (std::size_t b = 0; b < range.bytes; ++b) ++wanted[static_cast<std::size_t>(range.begin - memory.data()) + b];
  }
  for (std::size_t b = 0; b < memory.size(); ++b) CHECK(wanted[b] == (b < 640 || (b >= 1000 && b < 2280) ? 1 : 0));

  constexpr std::size_t calls = 3, blocks = 2, prefetches = 4;  // 24 prefetches for 20 lines
  bit::detail::prefetcher ahead(both.second, calls, blocks, prefetches);
  std::vector<int> lines(20, 0);
  for (std::size_t call = 0; call < calls; ++call) {
    const auto stream = ahead.next();
    for (std::size_t i = 0; stream.from && i < blocks * prefetches; ++i)
      if (const auto at = static_cast<std::size_t>(stream.from - both.second.begin) + i * stream.step; at < 1280)
        lines[at / 64] = 1;
  }
  CHECK(std::accumulate(lines.begin(), lines.end(), 0) == 20);
  CHECK(ahead.next().from == nullptr);
}
