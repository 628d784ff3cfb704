// SPDX-License-Identifier: Apache-2.0
// Bodies of program/memory_plan.hpp.
#pragma once

#include <algorithm>
#include <bit/program/memory_plan.hpp>
#include <numeric>

namespace bit::inline BIT_ABI {
namespace detail {

inline std::vector<step_values> flow_of(const program& p) {
  std::vector<step_values> flow;
  for (const step& s : p.steps) flow.push_back(values_of(s));
  return flow;
}

}  // namespace detail

BIT_FUNC std::vector<live_range> live_ranges(std::size_t values, std::span<const step_values> steps,
                                             std::span<const value_id> outputs) {
  std::vector<live_range> ranges(values);
  const auto touch = [&](value_id id, std::size_t when) {
    auto& r = ranges[static_cast<std::size_t>(id)];
    if (!r.used) r.first = when;
    r.used = true;
    r.last = std::max(r.last, when);
  };
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (value_id id : steps[i].reads) touch(id, i);
    for (value_id id : steps[i].writes) touch(id, i);
  }
  for (value_id id : outputs) touch(id, steps.size());
  return ranges;
}

BIT_FUNC std::vector<live_range> live_ranges(const program& p) {
  return live_ranges(p.values.size(), detail::flow_of(p), p.outputs);
}

namespace detail {

/// Values that share one place: a chain of residual sums written in place.
struct placement {
  std::vector<std::size_t> members;
  std::size_t first, last, bytes, offset;
};

/// Joins each residual whose last reader writes the sum over it; returns the disjoint placements.
inline std::vector<placement> joined_placements(std::span<const step_values> steps, const memory_plan& plan) {
  const std::size_t values = plan.ranges.size();
  std::vector<std::size_t> group(values);
  std::iota(group.begin(), group.end(), std::size_t{0});
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& pair = steps[i].in_place;
    if (!pair) continue;
    const auto from = static_cast<std::size_t>(pair->first), to = static_cast<std::size_t>(pair->second);
    if (plan.ranges[from].last == i && plan.bytes[from] == plan.bytes[to]) group[to] = group[from];
  }
  std::vector<placement> places;
  std::vector<std::size_t> place_of(values, memory_plan::not_stored);
  for (std::size_t v = 0; v < values; ++v) {
    if (plan.bytes[v] == 0 || !plan.ranges[v].used) continue;
    std::size_t& index = place_of[group[v]];
    if (index == memory_plan::not_stored) {
      index = places.size();
      places.push_back({{}, plan.ranges[v].first, plan.ranges[v].last, plan.bytes[v], 0});
    }
    placement& place = places[index];
    place.members.push_back(v);
    place.first = std::min(place.first, plan.ranges[v].first);
    place.last = std::max(place.last, plan.ranges[v].last);
  }
  return places;
}

}  // namespace detail

BIT_FUNC memory_plan plan_memory(const program& p, const std::vector<std::size_t>& bytes, std::size_t alignment) {
  return plan_memory(detail::flow_of(p), p.outputs, bytes, alignment);
}

BIT_FUNC memory_plan plan_memory(std::span<const step_values> steps, std::span<const value_id> outputs,
                                 const std::vector<std::size_t>& bytes, std::size_t alignment) {
  memory_plan plan{live_ranges(bytes.size(), steps, outputs), bytes,
                   std::vector<std::size_t>(bytes.size(), memory_plan::not_stored), 0};
  auto places = detail::joined_placements(steps, plan);
  std::vector<detail::placement*> largest_first;
  for (auto& place : places) largest_first.push_back(&place);
  std::sort(largest_first.begin(), largest_first.end(),
            [](const auto* a, const auto* b) { return a->bytes != b->bytes ? a->bytes > b->bytes : a < b; });
  std::vector<detail::placement*> placed;  // by offset
  for (detail::placement* next : largest_first) {
    detail::placement& place = *next;
    const std::size_t need = (place.bytes + alignment - 1) / alignment * alignment;
    std::size_t best = memory_plan::not_stored, best_gap = memory_plan::not_stored, end = 0;
    for (const auto* other : placed) {
      if (other->last < place.first || place.last < other->first) continue;
      if (other->offset >= end + need && other->offset - end < best_gap) {
        best = end;
        best_gap = other->offset - end;
      }
      end = std::max(end, other->offset + (other->bytes + alignment - 1) / alignment * alignment);
    }
    place.offset = best == memory_plan::not_stored ? end : best;
    plan.total = std::max(plan.total, place.offset + need);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &place,
                                   [](const auto* a, const auto* b) { return a->offset < b->offset; }),
                  &place);
    for (std::size_t v : place.members) plan.offsets[v] = place.offset;
  }
  return plan;
}

}  // namespace bit::inline BIT_ABI
