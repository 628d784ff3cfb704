// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/peak.hpp.
#pragma once

#include <omp.h>

#include <algorithm>
#include <bit/backend/cpu/peak.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/detail/aligned_buffer.hpp>
#include <chrono>
#include <cstring>

namespace bit::inline BIT_ABI::detail {

/// The least time in seconds, of `repetitions`, in which all threads finish `work(thread, threads)` after a common
/// start.
template <class Work>
double least_seconds(std::size_t threads, int repetitions, const Work& work) {
  using clock = std::chrono::steady_clock;
  double least = 1e9;
  clock::time_point start;
#pragma omp parallel num_threads(region_threads(threads))
  for (int i = 0; i < repetitions; ++i) {
#pragma omp barrier
#pragma omp master
    start = clock::now();
#pragma omp barrier
    work(static_cast<std::size_t>(omp_get_thread_num()), static_cast<std::size_t>(omp_get_num_threads()));
#pragma omp barrier
#pragma omp master
    least = std::min(least, std::chrono::duration<double>(clock::now() - start).count());
  }
  return least;
}

/// The operations per second of all threads together, in 1e9.
template <class T>
double fma_gflops(std::size_t threads, const microkernel_table<T>& microkernels) {
  constexpr std::size_t iterations = 500'000;  // of 12 to 28 multiply-adds: 1 to 2 ms at 4 GHz and two a cycle
  const double seconds = least_seconds(threads, 16, [&](std::size_t, std::size_t) {
    [[maybe_unused]] const volatile float result = microkernels.fma_loop(iterations);
  });
  return static_cast<double>(threads * iterations * microkernels.fma_loop_flops) / seconds * 1e-9;
}

BIT_FUNC cpu_peak measure_peak(std::size_t threads, instruction_set isa) {
  const std::size_t used = static_cast<std::size_t>(region_threads(std::max<std::size_t>(threads, 1)));
  constexpr std::size_t floats = peak_read_bytes / sizeof(float), line = 1024;
  const microkernel_table<float>& microkernels = microkernels_of<float>(isa);
  aligned_buffer<float> memory(floats);
  float* const data = memory.data();
  const auto first = [&](std::size_t thread, std::size_t of) { return floats / line * thread / of * line; };
  least_seconds(used, 1, [&](std::size_t thread, std::size_t of) {  // pages come to the thread that reads them
    std::memset(data + first(thread, of), 0, (first(thread + 1, of) - first(thread, of)) * sizeof(float));
  });
  const double read_seconds = least_seconds(used, 6, [&](std::size_t thread, std::size_t of) {
    [[maybe_unused]] const volatile float result =
        microkernels.read_loop(data + first(thread, of), first(thread + 1, of) - first(thread, of));
  });
  return {fma_gflops(used, microkernels), fma_gflops(used, microkernels_of<bfloat16>(isa)),
          static_cast<double>(peak_read_bytes) / read_seconds * 1e-9};
}

}  // namespace bit::inline BIT_ABI::detail
