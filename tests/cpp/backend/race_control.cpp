// SPDX-License-Identifier: Apache-2.0
// A race on purpose, in an OpenMP region or between two threads: what the thread sanitizer's tests must report, or
// their silence about the library means nothing.
#include <omp.h>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

namespace {

void in_a_region(std::vector<int>& shared) {
#pragma omp parallel num_threads(2)
  for (int i = 0; i < 10000; ++i) ++shared[0];
}

void ordered_by_a_region(std::vector<int>& shared) {
#pragma omp parallel num_threads(2)
  {
    shared[static_cast<std::size_t>(omp_get_thread_num())] = 1;
#pragma omp barrier
    const int sum = shared[0] + shared[1];
#pragma omp barrier
    shared[static_cast<std::size_t>(omp_get_thread_num())] = sum;
  }
  ++shared[0];
}

void between_threads(std::vector<int>& shared) {
  const auto count = [&] {
    for (int i = 0; i < 10000; ++i) ++shared[0];
  };
  std::thread other(count);
  count();
  other.join();
}

}  // namespace

int main(int argc, char** argv) {
  const char* which = argc > 1 ? argv[1] : "";
  std::vector<int> shared(2, 0);
  if (std::strcmp(which, "region") == 0) in_a_region(shared);
  if (std::strcmp(which, "threads") == 0) between_threads(shared);
  if (std::strcmp(which, "ordered") == 0) ordered_by_a_region(shared);
  std::printf("%d\n", shared[0]);
}
