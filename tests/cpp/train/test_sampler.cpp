// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <bit/error.hpp>
#include <bit/train/few_shot.hpp>
#include <bit/train/sampler.hpp>
#include <map>
#include <numeric>
#include <set>

using namespace bit::train;
using indices = std::vector<std::size_t>;

namespace {

indices joined(sampler& s, std::uint64_t first, std::uint64_t last) {
  indices all;
  for (std::uint64_t b = first; b < last; ++b) {
    const indices batch = s.batch(b);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

bool holds_each_once(indices all, std::size_t n) {
  std::ranges::sort(all);
  indices expected(n);
  std::iota(expected.begin(), expected.end(), std::size_t{0});
  return all == expected;
}

}  // namespace

TEST_CASE("each epoch holds every example once, in an order of its own, the last batch short") {
  sampler s(10, 4, 3);
  CHECK(s.batches_per_epoch() == 3);
  CHECK(s.batch(2).size() == 2);
  const indices first = joined(s, 0, 3), second = joined(s, 3, 6);
  CHECK(holds_each_once(first, 10));
  CHECK(holds_each_once(second, 10));
  CHECK(first != second);
  sampler other(10, 4, 4);
  CHECK(joined(other, 0, 3) != first);
}

TEST_CASE("batches that carry over are full and see every example equally often") {
  sampler s(10, 4, 3, {.end = epoch_end::carry_over});
  const indices all = joined(s, 0, 5);
  CHECK(all.size() == 20);
  CHECK(holds_each_once({all.begin(), all.begin() + 10}, 10));
  CHECK(holds_each_once({all.begin() + 10, all.end()}, 10));
  sampler large(3, 7, 3, {.end = epoch_end::carry_over});
  std::map<std::size_t, int> counts;
  for (std::size_t i : joined(large, 0, 3)) ++counts[i];
  CHECK(counts == std::map<std::size_t, int>{{0, 7}, {1, 7}, {2, 7}});
}

TEST_CASE("a batch is a function of its number, in whatever order batches are asked for") {
  for (auto end : {epoch_end::short_batch, epoch_end::carry_over}) {
    for (std::size_t batch_size : {1u, 4u, 10u, 64u}) {
      sampler walked(10, batch_size, 3, {.end = end});
      std::vector<indices> expected;
      for (std::uint64_t b = 0; b < 20; ++b) expected.push_back(walked.batch(b));
      for (std::uint64_t b = 20; b-- > 0;) {
        sampler fresh(10, batch_size, 3, {.end = end});
        CHECK(walked.batch(b) == expected[b]);
        CHECK(walked.size(b) == expected[b].size());
        CHECK(fresh.batch(b) == expected[b]);
      }
    }
  }
}

TEST_CASE("a batch larger than the set is drawn with replacement") {
  sampler s(5, 64, 3);
  CHECK(s.replaces());
  const indices batch = s.batch(0);
  CHECK(batch.size() == 64);
  CHECK(std::set<std::size_t>(batch.begin(), batch.end()).size() == 5);  // misses one: 5 (4/5)^64 = 3e-6
  CHECK(batch != s.batch(1));
  std::map<std::size_t, int> counts;
  for (std::size_t i : batch) ++counts[i];
  CHECK(std::ranges::any_of(counts, [](const auto& c) { return c.second != 12 && c.second != 13; }));
  CHECK_FALSE(sampler(64, 64, 3).replaces());
}

TEST_CASE("sequential batches walk the set in order, whatever its size") {
  sampler s(5, 2, 3, {.order = sample_order::sequential});
  CHECK(joined(s, 0, 3) == indices{0, 1, 2, 3, 4});
  sampler large(3, 8, 3, {.order = sample_order::sequential});
  CHECK(large.batch(0) == indices{0, 1, 2});
  CHECK_THROWS_WITH_AS(sampler(0, 2, 3), doctest::Contains("got 0 examples"), bit::config_error);
  CHECK_THROWS_AS(sampler(2, 0, 3), bit::config_error);
}

TEST_CASE("few-shot takes exactly K of each class, by the seed") {
  const indices labels{0, 1, 0, 2, 1, 0, 2, 1, 0, 2, 2, 2};
  const std::vector<std::string> classes{"cat", "dog", "eel"};
  for (auto choose : {few_shot, few_shot_last_seen}) {
    std::set<indices> seen;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      const indices chosen = choose(labels, classes, 2, seed);
      CHECK(chosen == choose(labels, classes, 2, seed));
      std::map<std::size_t, int> counts;
      for (std::size_t i : chosen) ++counts[labels[i]];
      CHECK(counts == std::map<std::size_t, int>{{0, 2}, {1, 2}, {2, 2}});
      indices sorted = chosen;
      std::ranges::sort(sorted);
      CHECK(std::ranges::adjacent_find(sorted) == sorted.end());
      seen.insert(sorted);
    }
    CHECK(seen.size() > 60);  // of 6 * 3 * 10 = 180 choices
  }
  CHECK(std::ranges::is_sorted(few_shot(labels, classes, 3, 1)));
}

TEST_CASE("few-shot does not depend on the other classes") {
  const std::vector<std::string> classes{"cat", "dog"};
  const indices one = few_shot(indices{0, 0, 0, 0, 0, 1, 1}, classes, 1, 5);
  const indices two = few_shot(indices{0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, classes, 1, 5);
  CHECK(one[0] == two[0]);
}

TEST_CASE("classes with too few examples are named with their counts") {
  const std::vector<std::string> classes{"cat", "dog", "eel"};
  CHECK_THROWS_WITH_AS(few_shot(indices{0, 0, 0, 1, 1}, classes, 3, 0),
                       doctest::Contains("at least 3 examples of each class, but 'dog' has 2, 'eel' has 0"),
                       bit::config_error);
  CHECK_THROWS_WITH_AS(few_shot(indices{0, 5}, classes, 1, 0), doctest::Contains("got 5 at position 1"),
                       bit::shape_error);
  CHECK_THROWS_AS(few_shot(indices{0, 1, 2}, classes, 0, 0), bit::config_error);
  const std::vector<std::string> many(25, "x");
  CHECK_THROWS_WITH_AS(few_shot(indices{}, many, 1, 0), doctest::Contains("15 more classes"), bit::config_error);
}
