// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/read_weights.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/first_exception.hpp>
#include <bit/backend/cpu/read_weights.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/detail/aligned_buffer.hpp>
#include <functional>
#include <numeric>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// The number of values in a group, unless a single tensor has more.
inline constexpr std::size_t group_values = std::size_t{2} << 20;
/// The number of values that a thread reads at a time: 256 KB, which are still in L2 when their checksum is computed.
inline constexpr std::size_t part_values = std::size_t{64} << 10;

/// The jobs whose tensors are in the buffer at the same time. Reading a part of a tensor and making a piece of a job
/// are tasks, numbered from 0 on through the whole group.
struct weight_group {
  struct member {
    const weight_job* job;
    std::size_t offset, size;                     ///< where its values are in the buffer, and how many
    std::vector<std::uint32_t> checksums;         ///< of its parts; empty: it is read as a whole
    std::size_t first_read = 0, first_piece = 0;  ///< its first tasks' numbers; piece 0 verifies the checksums
  };
  std::vector<member> members;
  std::size_t values = 0, reads = 0, pieces = 0;

  void add(const weight_job& job, std::size_t size) {
    const bool parts = job.tensor->data->has_parts();
    const std::size_t count = parts ? (size + part_values - 1) / part_values : 0;
    members.push_back({&job, values, size, std::vector<std::uint32_t>(count), reads, pieces});
    values += (size + 15) / 16 * 16;  // tensors begin on a cache line
    reads += parts ? count : 1;
    pieces += job.pieces + 1;
  }
  /// The member that task `task` belongs to. `first` says which kind of task is meant.
  member& owner(std::size_t task, std::size_t member::*first) {
    const auto after = std::upper_bound(members.begin(), members.end(), task,
                                        [first](std::size_t t, const member& m) { return t < m.*first; });
    return *std::prev(after);
  }

  void read(std::size_t task, float* buffer) {
    member& m = owner(task, &member::first_read);
    const tensor_data& data = *m.job->tensor->data;
    if (m.checksums.empty()) {
      data.read(std::span(buffer + m.offset, m.size));
      data.release();
      return;
    }
    const std::size_t part = task - m.first_read, first = part * part_values;
    m.checksums[part] =
        data.read_part(first, std::span(buffer + m.offset + first, std::min(part_values, m.size - first)));
  }
  void make(std::size_t task, const float* buffer) {
    const member& m = owner(task, &member::first_piece);
    const std::size_t piece = task - m.first_piece;
    if (piece > 0)
      m.job->make(piece - 1, buffer + m.offset);
    else if (!m.checksums.empty())
      m.job->tensor->data->check_parts(m.checksums, part_values);
  }
};

inline std::vector<weight_group> group_weights(std::span<const weight_job> jobs) {
  std::vector<weight_group> groups;
  for (const weight_job& job : jobs) {
    const auto& shape = job.tensor->shape;
    const std::size_t size = std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
    if (groups.empty() || groups.back().values + size > group_values) groups.emplace_back();
    groups.back().add(job, size);
  }
  return groups;
}

BIT_FUNC void read_weights(std::span<const weight_job> jobs) {
  std::vector<weight_group> groups = group_weights(jobs);
  std::size_t largest = 0;
  for (const weight_group& group : groups) largest = std::max(largest, group.values);
  const aligned_buffer<float> buffer(largest);
  first_exception failure;
#pragma omp parallel num_threads(region_threads(usable_threads()))
  for (weight_group& group : groups) {
#pragma omp for schedule(dynamic, 1)
    for (std::size_t task = 0; task < group.reads; ++task) failure.guard([&] { group.read(task, buffer.data()); });
#pragma omp for schedule(dynamic, 1)
    for (std::size_t task = 0; task < group.pieces; ++task) failure.guard([&] { group.make(task, buffer.data()); });
  }
  failure.rethrow();
}

}  // namespace bit::inline BIT_ABI::detail
