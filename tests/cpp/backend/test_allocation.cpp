// SPDX-License-Identifier: Apache-2.0
// A frozen model allocates for a new shape, and never again.
#include <doctest/doctest.h>
#include <array>
#include <atomic>
#include <bit/resnet.hpp>
#include <cstdlib>
#include <new>

#include "random_data.hpp"

namespace {

std::atomic<std::size_t> allocations{0};

void* counted(std::size_t size, std::size_t alignment) {
  ++allocations;
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Replacing the global operators lets the test see every allocation of the process.
void* operator new(std::size_t size) { return counted(size, 16); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size, 16); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

TEST_CASE("the second run of a shape allocates nothing, also after runs of another shape") {
  const auto model = bit::resnet_v2<>({.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 10}, 1).freeze();
  const auto large = test::random_images({2, 3, 64, 64}, 1), small = test::random_images({1, 3, 33, 47}, 2);
  const std::string logits = "logits";
  auto out = bit::matrix<float>::from_shape({2, 10});
  float* const pointer = out.data();
  std::array<double, 32> seconds{};
  bit::run_options options;
  options.step_seconds = seconds;
  const auto run = [&](const bit::tensor4<float>& x) {
    const std::size_t before = allocations;
    model.run(bit::view_of(x.data(), bit::dims_of(x.shape(), bit::layout::nchw), bit::layout::nchw), {&logits, 1},
              {&pointer, 1}, options);
    return allocations - before;
  };
  CHECK(run(large) > 0);  // a plan, a workspace: the counter counts
  CHECK(run(small) > 0);
  for (int i = 0; i < 3; ++i) {
    CHECK(run(large) == 0);
    CHECK(run(small) == 0);
  }
}
