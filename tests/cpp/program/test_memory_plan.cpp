// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/model/network.hpp>
#include <bit/model/random.hpp>
#include <bit/program/memory_plan.hpp>

namespace {

bit::program logits_program(const bit::dims4& image) {
  const bit::resnet_config config{.units = {2, 1, 1, 2}, .stem_channels = 32, .num_classes = 10};
  const std::string output = "logits";
  return bit::network(config, bit::random_tensors(config, 1)).emit(image, {&output, 1});
}

std::vector<std::size_t> map_bytes(const bit::program& p) {
  std::vector<std::size_t> bytes;
  for (const bit::value& v : p.values) bytes.push_back(v.kind == bit::value_kind::image ? 0 : v.dims.size() * 4);
  return bytes;
}

/// True if two values that are alive at the same time overlap without being a residual and the sum written over it.
bool has_clash(const bit::program& p, const bit::memory_plan& plan) {
  for (std::size_t a = 0; a < p.values.size(); ++a)
    for (std::size_t b = 0; b < a; ++b) {
      if (plan.bytes[a] == 0 || plan.bytes[b] == 0) continue;
      const auto &ra = plan.ranges[a], &rb = plan.ranges[b];
      const bool together = ra.first <= rb.last && rb.first <= ra.last;
      const bool overlap =
          plan.offsets[a] < plan.offsets[b] + plan.bytes[b] && plan.offsets[b] < plan.offsets[a] + plan.bytes[a];
      const bool in_place = plan.offsets[a] == plan.offsets[b] && (ra.first == rb.last || rb.first == ra.last);
      if (together && overlap && !in_place) return true;
    }
  return false;
}

}  // namespace

TEST_CASE("values that live together never overlap, for many image sizes") {
  for (std::size_t side : {1u, 17u, 32u, 63u, 97u}) {
    const bit::program p = logits_program({2, 3, side, side + 3});
    CHECK_FALSE(has_clash(p, bit::plan_memory(p, map_bytes(p))));
  }
}

TEST_CASE("the clash check finds a plan that puts everything at offset 0") {
  const bit::program p = logits_program({1, 3, 32, 32});
  bit::memory_plan plan = bit::plan_memory(p, map_bytes(p));
  for (std::size_t& offset : plan.offsets) offset = 0;
  CHECK(has_clash(p, plan));
}

TEST_CASE("a residual that the convolution itself reads is not written over") {
  bit::program p = logits_program({1, 3, 64, 64});
  std::size_t changed = 0;
  for (bit::step& s : p.steps)
    if (auto* conv = std::get_if<bit::conv_step>(&s); conv && conv->residual) {
      CHECK(bit::values_of(s).in_place);
      bit::conv_step other = *conv;
      other.main.x = *other.residual;
      CHECK_FALSE(bit::values_of(other).in_place);
      other = *conv;
      other.projection = other.main;
      other.projection->x = *other.residual;
      CHECK_FALSE(bit::values_of(other).in_place);
      ++changed;
    }
  CHECK(changed == 2);
}

TEST_CASE("a residual sum is written over the residual") {
  const bit::program p = logits_program({1, 3, 64, 64});
  const bit::memory_plan plan = bit::plan_memory(p, map_bytes(p));
  std::size_t in_place = 0;
  for (const bit::step& s : p.steps) {
    const auto pair = bit::values_of(s).in_place;
    if (!pair) continue;
    CHECK(plan.offsets[static_cast<std::size_t>(pair->first)] == plan.offsets[static_cast<std::size_t>(pair->second)]);
    ++in_place;
  }
  CHECK(in_place == 2);  // the second units of blocks 1 and 4
}

TEST_CASE("a tapped residual keeps its own place") {
  const bit::resnet_config config{.units = {2, 1, 1, 1}, .stem_channels = 32, .num_classes = 10};
  const std::string outputs[] = {"block1/unit01", "logits"};
  const bit::program p = bit::network(config, bit::random_tensors(config, 1)).emit({1, 3, 64, 64}, outputs);
  const bit::memory_plan plan = bit::plan_memory(p, map_bytes(p));
  const auto tapped = static_cast<std::size_t>(p.outputs[0]);
  CHECK(plan.ranges[tapped].last == p.steps.size());
  CHECK_FALSE(has_clash(p, plan));
  for (std::size_t v = 0; v < p.values.size(); ++v)
    if (p.values[v].name == "block1/unit02") CHECK(plan.offsets[v] != plan.offsets[tapped]);
}

TEST_CASE("the arena is far smaller than the sum of all values, and offsets are aligned") {
  const bit::program p = logits_program({1, 3, 224, 224});
  const auto bytes = map_bytes(p);
  const bit::memory_plan plan = bit::plan_memory(p, bytes);
  std::size_t sum = 0, largest = 0;
  for (std::size_t v = 0; v < bytes.size(); ++v) {
    sum += bytes[v];
    largest = std::max(largest, bytes[v]);
    if (bytes[v] > 0) CHECK(plan.offsets[v] % 64 == 0);
  }
  CHECK(plan.total >= largest);
  CHECK(plan.total * 2 < sum);
}
