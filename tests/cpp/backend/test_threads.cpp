// SPDX-License-Identifier: Apache-2.0
// One frozen model used from several threads, from inside a parallel region, and interrupted.
#include <doctest/doctest.h>
#include <omp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <bit/resnet.hpp>
#include <optional>
#include <thread>

#include "random_data.hpp"

namespace {

const bit::resnet_config small{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};

}  // namespace

TEST_CASE("two models called by four threads at once give what one thread gives") {
  const auto a = bit::resnet_v2<>(small, 1).freeze(), b = bit::resnet_v2<>(small, 2).freeze();
  const auto x = test::random_images({2, 3, 48, 33}, 1), y = test::random_images({1, 3, 64, 64}, 2);
  const auto ax = a(x), by = b(y), ay = a(y);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) wrong[t] += !(a(x) == ax) + !(b(y) == by) + !(a(y) == ay);
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("eight threads with one model, each in its own number of threads, get one thread's bits") {
  const auto model = bit::resnet_v2<>(small, 3).freeze();
  const auto x = test::random_images({3, 3, 47, 61}, 3);
  bit::run_options one;
  one.threads = 1;
  const auto expected = model(x, bit::layout::nchw, one), other = model(test::random_images({3, 3, 47, 61}, 4));
  std::vector<std::thread> threads;
  std::vector<int> wrong(8, 0);
  for (std::size_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      bit::run_options options;
      options.threads = t;  // 0: the default
      for (int i = 0; i < 5; ++i) wrong[t] += !(model(x, bit::layout::nchw, options) == expected);
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == std::vector<int>(8, 0));
  CHECK_FALSE(other == expected);  // negative control: other images give other logits
}

TEST_CASE("any number of threads gives the same bits, for odd batches and sizes") {
  const auto model = bit::resnet_v2<>(small, 4).freeze();
  for (const bit::dims4 d : {bit::dims4{1, 3, 1, 1}, {1, 3, 33, 65}, {5, 3, 17, 40}, {2, 3, 96, 64}}) {
    const auto x = test::random_images(d, 5);
    bit::run_options options;
    options.threads = 1;
    const auto expected = model(x, bit::layout::nchw, options);
    const auto maps = model.features(x, "block2", bit::layout::nchw, options);
    for (const std::size_t threads : {2u, 3u, 5u, 16u}) {
      CAPTURE(threads);
      options.threads = threads;
      CHECK(model(x, bit::layout::nchw, options) == expected);
      CHECK(model.features(x, "block2", bit::layout::nchw, options) == maps);
    }
  }
}

TEST_CASE("a model made, used and dropped in one thread is used in another") {
  const auto x = test::random_images({1, 3, 40, 40}, 1);
  const auto expected = bit::resnet_v2<>(small, 1).freeze()(x);
  std::optional<bit::frozen_resnet_v2<bit::cpu<float>>> model;
  std::thread([&] { model.emplace(bit::resnet_v2<>(small, 1).freeze()), (*model)(x); }).join();
  CHECK((*model)(x) == expected);
  std::thread([&] { model.reset(); }).join();
}

TEST_CASE("nested regions, two levels active, are right") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({1, 3, 40, 40}, 1);
  const auto expected = model(x);
  const int levels = omp_get_max_active_levels();
  for (const int active : {1, 2, 3}) {
    omp_set_max_active_levels(active);
    int wrong = 0;
#pragma omp parallel num_threads(2) reduction(+ : wrong)
    {
      bit::run_options two;
      two.threads = 2;
      for (int i = 0; i < 3; ++i) wrong += !(model(x, bit::layout::nchw, two) == expected);
    }
    CHECK(wrong == 0);
  }
  omp_set_max_active_levels(levels);
}

TEST_CASE("threads that OpenMP itself takes back or adds change no bit") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({2, 3, 40, 40}, 1);
  const auto expected = model(x);
  const int before = omp_get_max_threads(), dynamic = omp_get_dynamic();
  for (const int threads : {1, 4, 2}) {
    omp_set_num_threads(threads);
    CHECK(bit::cpu<float>::threads(0) <= static_cast<std::size_t>(threads));
    CHECK(model(x) == expected);
    omp_set_dynamic(1);
    CHECK(model(x) == expected);
    omp_set_dynamic(dynamic);
  }
  omp_set_num_threads(before);
}

TEST_CASE("signals that interrupt system calls disturb nothing") {
  static std::atomic<int> signals{0};
  signals = 0;
  struct sigaction count {
  }, before{};
  count.sa_handler = [](int) { ++signals; };  // without SA_RESTART: futex waits return early
  REQUIRE(::sigaction(SIGALRM, &count, &before) == 0);
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({1, 3, 64, 64}, 1);
  const auto expected = model(x);
  const itimerval often{{0, 500}, {0, 500}}, never{};
  REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
  bit::run_options options;
  options.threads = 4;
  int wrong = 0;
  for (int i = 0; i < 1000 && (i < 20 || signals < 20); ++i)
    wrong += !(model(x, bit::layout::nchw, options) == expected);
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  CHECK(wrong == 0);
  CHECK(signals >= 20);
}

TEST_CASE("a call inside the user's own parallel region is right") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({1, 3, 40, 40}, 1);
  const auto expected = model(x);
  int wrong = 0;
#pragma omp parallel for num_threads(2) reduction(+ : wrong)
  for (int i = 0; i < 4; ++i) wrong += !(model(x) == expected);
  CHECK(wrong == 0);
}

TEST_CASE("a child forked after use computes the same, and does not wait for its parent's threads") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({2, 3, 40, 40}, 1);
  bit::run_options two;
  two.threads = 2;
  const auto expected = model(x, bit::layout::nchw, two);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(60);  // a child that hangs dies of it
    const bool same = model(x, bit::layout::nchw, two) == expected;
    const bool fresh = bit::resnet_v2<>(small, 1).freeze()(x) == expected;
    ::_exit(same && fresh ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(model(x, bit::layout::nchw, two) == expected);
}

TEST_CASE("an interrupted call throws, and the model works afterwards") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({1, 3, 40, 40}, 1);
  const auto expected = model(x);
  for (int stop_after = 0; stop_after < 15; ++stop_after) {
    int calls = 0;
    bit::run_options options;
    options.threads = 2;
    options.interrupted = [&] { return calls++ == stop_after; };
    CHECK_THROWS_AS(model(x, bit::layout::nchw, options), bit::interrupted_error);
  }
  CHECK(model(x) == expected);
}

TEST_CASE("an empty batch gives an empty result") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto y = model(bit::tensor4<float>::from_shape({0, 3, 32, 32}));
  CHECK(y.shape()[0] == 0);
  CHECK(y.shape()[1] == 10);
}

TEST_CASE("images that do not fit are refused with both shapes") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  CHECK_THROWS_WITH_AS(model(bit::tensor4<float>::from_shape({1, 4, 32, 32})),
                       "[resnet_v2] expected images with 3 channels, got (n=1, c=4, h=32, w=32)", bit::shape_error);
  CHECK_THROWS_AS(model(bit::tensor4<float>::from_shape({1, 3, 0, 32})), bit::shape_error);
  CHECK_THROWS_WITH_AS(model.features(test::random_images({1, 3, 32, 32}, 1), "block5"), doctest::Contains("block4"),
                       bit::config_error);
}
