// SPDX-License-Identifier: Apache-2.0
// A new image size keeps no other call waiting.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <bit/resnet.hpp>
#include <thread>

#include "../backend/random_data.hpp"
#include "gated_values.hpp"

namespace {

const bit::resnet_config small{.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};

/// A model whose plans wait for a gate to read one kernel, and what it should give.
struct slow_model {
  std::vector<bit::named_tensor> tensors = bit::random_tensors(small, 1);
  std::shared_ptr<test::gated_values> kernel = test::put_gate_before_a_kernel(tensors);
  bit::frozen_resnet_v2<bit::cpu<float>> model = bit::resnet_v2<>(small, tensors).freeze();
  bit::frozen_resnet_v2<bit::cpu<float>> expected = bit::resnet_v2<>(small, 1).freeze();
  bit::tensor4<float> first = test::random_images({1, 3, 40, 40}, 1), second = test::random_images({1, 3, 64, 33}, 2);
};

}  // namespace

TEST_CASE("other shapes are planned and run to the end while the plan of one waits for the disk") {
  slow_model slow;
  const auto right_first = slow.expected(slow.first), right_second = slow.expected(slow.second);
  slow.kernel->door.close();
  std::atomic<bool> first_finished{false};
  bit::matrix<float> first;
  std::thread a([&] {
    first = slow.model(slow.first);
    first_finished = true;
  });
  slow.kernel->door.wait_for_reader();
  std::thread b([&] {
    CHECK(slow.model(slow.second) == right_second);  // a new shape, which needs the same kernel
    CHECK(slow.model(slow.second) == right_second);
    CHECK(slow.model.output_dims("logits", {1, 3, 40, 40}) == bit::dims4{1, 10, 1, 1});
    CHECK(slow.model.parameter_bytes() > 0);
  });
  b.join();
  CHECK_FALSE(first_finished);
  slow.kernel->door.open();
  a.join();
  CHECK(first == right_first);
}

TEST_CASE("threads that want the same new shape read its weights once") {
  slow_model slow;
  const auto right = slow.expected(slow.first);
  const int before = slow.kernel->reads;
  slow.kernel->door.close();
  std::atomic<int> equal{0}, started{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      ++started;
      equal += slow.model(slow.first) == right;
    });
  slow.kernel->door.wait_for_reader();
  while (started < 4) std::this_thread::yield();
  slow.kernel->door.open();
  for (std::thread& t : threads) t.join();
  CHECK(equal == 4);
  CHECK(slow.kernel->reads == before + 1);
}

TEST_CASE("a kernel that cannot be read fails the call, and the next one tries again") {
  slow_model slow;
  slow.kernel->broken = true;
  CHECK_THROWS_WITH_AS(slow.model(slow.first), "the disk is gone", bit::io_error);
  slow.kernel->broken = false;
  CHECK(slow.model(slow.first) == slow.expected(slow.first));
}

TEST_CASE("a child forked while a plan is being made makes it by itself") {
  slow_model slow;
  const auto right = slow.expected(slow.first);
  slow.kernel->door.close();
  std::thread a([&] { CHECK(slow.model(slow.first) == right); });
  slow.kernel->door.wait_for_reader();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(60);  // a child that waits for its parent's thread dies of it
    ::_exit(slow.model(slow.first) == right ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  slow.kernel->door.open();
  a.join();
}
