// SPDX-License-Identifier: Apache-2.0
// Plans of a frozen model: each is made once, outside the lock, and a failure reaches everybody who waits for it.
#include <doctest/doctest.h>
#include <atomic>
#include <bit/error.hpp>
#include <bit/model/plan_cache.hpp>
#include <thread>

namespace {

using cache = bit::detail::plan_cache<int>;

const std::string logits[] = {"logits"}, pooled[] = {"pooled"};

cache::planned plan_number(int number) { return {std::make_shared<const int>(number), {{1, 10, 1, 1}}}; }

}  // namespace

TEST_CASE("threads that want the same plan make it once, and its maker holds no lock") {
  cache plans;
  std::atomic<int> made{0}, right{0};
  const auto make = [&] {
    while (plans.waiting() < 3) std::this_thread::yield();
    // Other plans are made to the end while this one is in the making: its maker holds no lock.
    CHECK(*plans.find({{2, 3, 32, 32}, logits}, [] { return plan_number(2); }) == 2);
    CHECK(*plans.find({{1, 3, 32, 32}, pooled}, [] { return plan_number(3); }) == 3);
    ++made;
    return plan_number(1);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { right += *plans.find({{1, 3, 32, 32}, logits}, make) == 1; });
  for (std::thread& t : threads) t.join();
  CHECK(made == 1);
  CHECK(right == 4);
  CHECK(plans.size() == 3);
  CHECK(plans.output_dims("logits", {1, 3, 32, 32}) == bit::dims4{1, 10, 1, 1});
  CHECK_FALSE(plans.output_dims("root", {1, 3, 32, 32}).has_value());
  CHECK(*plans.find({{1, 3, 32, 32}, logits, true}, [] { return plan_number(4); }) == 4);  // the classifier alone
}

TEST_CASE("a plan that cannot be made fails for all who wait, and is tried again by the next call") {
  cache plans;
  std::atomic<int> made{0}, failed{0};
  const auto fail = [&]() -> cache::planned {
    while (plans.waiting() < 3) std::this_thread::yield();
    ++made;
    throw bit::io_error("the disk is gone", 5);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      try {
        plans.find({{1, 3, 32, 32}, logits}, fail);
      } catch (const bit::io_error& e) {
        failed += e.what() == std::string("the disk is gone");
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(made == 1);
  CHECK(failed == 4);
  CHECK(plans.size() == 0);
  CHECK(*plans.find({{1, 3, 32, 32}, logits}, [] { return plan_number(7); }) == 7);
}

TEST_CASE("the plan not used for longest goes first, and clear() forgets all but those in use") {
  cache plans;
  for (std::size_t n = 1; n <= 64; ++n)
    plans.find({{n, 3, 32, 32}, logits}, [&] { return plan_number(static_cast<int>(n)); });
  const auto none = []() -> cache::planned { throw bit::config_error("not kept"); };
  CHECK(*plans.find({{1, 3, 32, 32}, logits}, none) == 1);  // used again, so the second is the oldest
  plans.find({{65, 3, 32, 32}, logits}, [] { return plan_number(65); });
  CHECK(plans.size() == 64);
  CHECK_THROWS_AS(plans.find({{2, 3, 32, 32}, logits}, none), bit::config_error);
  const auto kept = plans.find({{1, 3, 32, 32}, logits}, none);
  plans.clear();
  CHECK(plans.size() == 0);
  CHECK(*kept == 1);
  CHECK_THROWS_AS(plans.find({{1, 3, 32, 32}, logits}, none), bit::config_error);
}
