// SPDX-License-Identifier: Apache-2.0
// Measures the multiply-add peak of this minute: threads that do nothing but independent FMAs in registers.
// Reads lines "KIND THREADS" (avx512, avx2, bf16) and answers each with GFLOP/s, or 0 where the CPU lacks the
// instructions. Compiled by peak.py; no part of the library.
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

// Two units with 4 cycles of latency need 8 chains. They start from different values: equal ones become one chain.
constexpr int chains = 16;
volatile float sink;  // what the sums end in, so that they are not removed

__attribute__((target("avx512f"))) void avx512(long steps, float seed) {
  const __m512 x = _mm512_set1_ps(seed), y = _mm512_set1_ps(1e-3F);
  __m512 sum[chains];
  for (int i = 0; i < chains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (long s = 0; s < steps; ++s)
#pragma GCC unroll 16
    for (int i = 0; i < chains; ++i) sum[i] = _mm512_fmadd_ps(sum[i], x, y);
  for (const __m512& part : sum) sink = part[0];
}

__attribute__((target("avx512f,avx512bf16"))) void bf16(long steps, float seed) {
  const __m512 wide = _mm512_set1_ps(seed);
  const __m512bh x = _mm512_cvtne2ps_pbh(wide, wide);
  __m512 sum[chains];
  for (int i = 0; i < chains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (long s = 0; s < steps; ++s)
#pragma GCC unroll 16
    for (int i = 0; i < chains; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], x, x);
  for (const __m512& part : sum) sink = part[0];
}

__attribute__((target("avx2,fma"))) void avx2(long steps, float seed) {
  const __m256 x = _mm256_set1_ps(seed), y = _mm256_set1_ps(1e-3F);
  __m256 sum[12];
  for (int i = 0; i < 12; ++i) sum[i] = _mm256_set1_ps(static_cast<float>(i));
  for (long s = 0; s < steps; ++s)
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm256_fmadd_ps(sum[i], x, y);
  for (const __m256& part : sum) sink = part[0];
}

struct kind {
  void (*run)(long, float);
  double flop_per_step;
  bool supported;
};

kind find(const std::string& name) {
  if (name == "avx512") return {avx512, chains * 16 * 2.0, __builtin_cpu_supports("avx512f") != 0};
  if (name == "bf16") return {bf16, chains * 32 * 2.0, __builtin_cpu_supports("avx512bf16") != 0};
  return {avx2, 12 * 8 * 2.0, __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0};
}

double gflops(const kind& k, int threads, long steps) {
  std::atomic<int> waiting{threads};
  std::vector<std::thread> team;
  using clock = std::chrono::steady_clock;
  std::vector<clock::time_point> from(static_cast<std::size_t>(threads)), to(from);
  for (std::size_t t = 0; t < from.size(); ++t)
    team.emplace_back([&, t] {
      --waiting;
      while (waiting > 0) {
      }
      from[t] = clock::now();
      k.run(steps, 0.999F);
      to[t] = clock::now();
    });
  double slowest = 0;
  for (std::size_t t = 0; t < from.size(); ++t) {
    team[t].join();
    slowest = std::max(slowest, std::chrono::duration<double>(to[t] - from[t]).count());
  }
  return 1e-9 * threads * k.flop_per_step * static_cast<double>(steps) / slowest;
}

}  // namespace

int main() {
  std::string name;
  int threads = 0;
  while (std::cin >> name >> threads) {
    const kind k = find(name);
    double best = 0;
    for (int repeat = 0; k.supported && repeat < 4; ++repeat) best = std::max(best, gflops(k, threads, 10'000'000 / 4));
    std::cout << best << std::endl;
  }
}
