// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/update.hpp. Plain loops: they wait for memory, and four values per instruction keep up with it.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <bit/backend/cpu/threads.hpp>
#include <bit/backend/cpu/update.hpp>

namespace bit::inline BIT_ABI::detail {

/// Calls work(i) for all i below count, in a static split. A thread gets eight chunks at least, 10 µs of work or more:
/// waking one takes as long.
template <class Work>
void for_each_chunk(std::size_t count, std::size_t threads, const Work& work) {
  const std::size_t useful = std::min(threads != 0 ? threads : usable_threads(), count / 8);
#pragma omp parallel for schedule(static) if (useful > 1) num_threads(region_threads(std::max <std::size_t>(useful, 1)))
  for (std::size_t i = 0; i < count; ++i) work(i);
}

template <class T>
void sgd_chunk(const update_chunk<T>& chunk, const sgd_hyperparameters& numbers) {
  T* __restrict value = chunk.value;
  const T* __restrict gradient = chunk.gradient;
  T* __restrict buffer = chunk.first;
  const auto scale = static_cast<T>(numbers.gradient_scale), decay = static_cast<T>(chunk.decay);
  const auto rate = static_cast<T>(numbers.rate * chunk.rate_scale);
  if (!buffer) {
    for (std::size_t i = 0; i < chunk.count; ++i) value[i] -= rate * (scale * gradient[i] + decay * value[i]);
    return;
  }
  const auto momentum = static_cast<T>(numbers.momentum);
  const T fresh = numbers.nesterov ? 1 : 0, kept = numbers.nesterov ? momentum : 1;
  for (std::size_t i = 0; i < chunk.count; ++i) {
    const T g = scale * gradient[i] + decay * value[i];
    buffer[i] = momentum * buffer[i] + g;
    value[i] -= rate * (fresh * g + kept * buffer[i]);
  }
}

template <class T>
void adam_chunk(const update_chunk<T>& chunk, const adam_hyperparameters& numbers) {
  T* __restrict value = chunk.value;
  const T* __restrict gradient = chunk.gradient;
  T* __restrict mean = chunk.first;
  T* __restrict square = chunk.second;
  const double rate = numbers.rate * chunk.rate_scale;
  const auto scale = static_cast<T>(numbers.gradient_scale);
  const auto decay = static_cast<T>(numbers.decoupled ? 0 : chunk.decay);
  const auto shrink = static_cast<T>(numbers.decoupled ? 1 - rate * chunk.decay : 1);
  const auto keep2 = static_cast<T>(numbers.beta2);
  const auto take1 = static_cast<T>(1 - numbers.beta1), take2 = static_cast<T>(1 - numbers.beta2);
  const auto step = static_cast<T>(rate / numbers.correction1);
  const auto root = static_cast<T>(std::sqrt(numbers.correction2)), eps = static_cast<T>(numbers.eps);
  for (std::size_t i = 0; i < chunk.count; ++i) {
    const T g = scale * gradient[i] + decay * value[i];
    mean[i] += take1 * (g - mean[i]);
    square[i] = keep2 * square[i] + take2 * g * g;
    value[i] = shrink * value[i] - step * mean[i] / (std::sqrt(square[i]) / root + eps);
  }
}

template <class T>
void sgd_update(std::span<const update_chunk<T>> chunks, const sgd_hyperparameters& numbers, std::size_t threads) {
  for_each_chunk(chunks.size(), threads, [&](std::size_t i) { sgd_chunk(chunks[i], numbers); });
}

template <class T>
void adam_update(std::span<const update_chunk<T>> chunks, const adam_hyperparameters& numbers, std::size_t threads) {
  for_each_chunk(chunks.size(), threads, [&](std::size_t i) { adam_chunk(chunks[i], numbers); });
}

template <class T>
double sum_of_squares(std::span<const update_chunk<T>> chunks, std::size_t threads) {
  std::vector<double> parts(chunks.size());
  for_each_chunk(chunks.size(), threads, [&](std::size_t i) {
    constexpr std::size_t lanes = 8;  // independent sums, so that additions need not wait for each other
    double sums[lanes] = {};
    const T* gradient = chunks[i].gradient;
    for (std::size_t k = 0; k < chunks[i].count; ++k) {
      const double g = static_cast<double>(gradient[k]);
      sums[k % lanes] += g * g;
    }
    for (const double sum : sums) parts[i] += sum;
  });
  double total = 0;
  for (const double part : parts) total += part;
  return total;
}

}  // namespace bit::inline BIT_ABI::detail
