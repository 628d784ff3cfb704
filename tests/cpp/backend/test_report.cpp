// SPDX-License-Identifier: Apache-2.0
// What a plan tells about itself: names, algorithms, bytes, seconds.
#include <doctest/doctest.h>
#include <bit/backend/cpu/peak.hpp>
#include <bit/reference.hpp>
#include <bit/resnet.hpp>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>
#include <vector>

#include "random_data.hpp"

namespace {

const bit::resnet_config small{.units = {1, 2, 1, 1}, .stem_channels = 32, .num_classes = 10};

bit::program program_of(const bit::network& net, const bit::dims4& images) {
  const std::string output = "logits";
  return net.emit(images, {&output, 1});
}

}  // namespace

TEST_CASE("a step ends when the first thread says so: one that comes late changes no time") {
  std::vector<double> seconds(3, -1.0);
  bit::detail::step_timer timer(seconds);
  timer.finished(0);
  timer.finished(1);
  const std::vector<double> before = seconds;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  timer.finished(0);
  timer.finished(1);
  CHECK(seconds == before);
  timer.finished(2);
  CHECK(seconds[2] >= 0.005);
}

TEST_CASE_TEMPLATE("a report has the summary's rows and sums", Backend, bit::cpu<float>, bit::reference<double>) {
  const auto model = bit::resnet_v2<Backend>(small, 1).freeze({.algorithm = bit::algorithm::direct});
  const bit::dims4 images{2, 3, 65, 40};
  const auto rows = model.report(images);
  const auto summary = bit::summarise(program_of(model.network(), images));
  REQUIRE(rows.size() == summary.size());
  double flops = 0;
  std::size_t macs = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(summary[i].name);
    CHECK(rows[i].step.name == summary[i].name);
    CHECK(rows[i].step.kind == summary[i].kind);
    CHECK(rows[i].step.output == summary[i].output);
    CHECK((rows[i].algorithm == "direct") == (summary[i].macs > 0));
    CHECK((rows[i].weight_bytes > 0) == (summary[i].macs > 0));
    CHECK(rows[i].min_seconds == 0);
    flops += rows[i].flops();
    macs += summary[i].macs;
  }
  CHECK(flops == 2.0 * static_cast<double>(macs));
}

TEST_CASE("a report counts bytes as the plan stores them") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const bit::dims4 images{2, 3, 64, 64};
  const bit::program p = program_of(model.network(), images);
  const auto rows = model.report(images);
  const bit::memory_plan memory = model.plan(images);
  CHECK(rows.front().read_bytes == images.size() * sizeof(float));
  std::size_t weights = 0, written = 0;
  for (const auto& row : rows) {
    weights += row.weight_bytes;
    written += row.written_bytes;
  }
  CHECK(written == std::accumulate(memory.bytes.begin(), memory.bytes.end(), std::size_t{0}));
  // Beside the kernels only norms and the bias are packed: below a tenth even here, where maps are narrow.
  CHECK(weights <= model.parameter_bytes());
  CHECK(10 * weights >= 9 * model.parameter_bytes());
  // The unit's last step reads the first two maps' sums too, and the residual or the projection's input.
  CHECK(rows[3].step.kind == "conv 1x1 + projection");
  CHECK(rows[3].read_bytes >
        rows[3].step.inputs[0].size() * sizeof(float) + rows[3].step.inputs[1].size() * sizeof(float));
}

TEST_CASE_TEMPLATE("a report names the algorithm that was chosen", Backend, bit::cpu<float>, bit::cpu<bit::bfloat16>) {
  const bit::dims4 images{1, 3, 64, 64};
  const auto direct = bit::resnet_v2<Backend>(small, 1).freeze({.algorithm = bit::algorithm::direct}).report(images);
  for (const auto wanted : {bit::algorithm::winograd_2x2, bit::algorithm::winograd_4x4}) {
    const auto rows = bit::resnet_v2<Backend>(small, 1).freeze({.algorithm = wanted}).report(images);
    const std::size_t products = wanted == bit::algorithm::winograd_2x2 ? 16 : 36;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CAPTURE(rows[i].step.name);
      const bool applies = rows[i].step.kind == "conv 3x3";
      CHECK((rows[i].algorithm == bit::name_of(wanted)) == applies);
      CHECK(rows[i].weight_bytes * 9 == direct[i].weight_bytes * (applies ? products : 9));
    }
  }
}

TEST_CASE_TEMPLATE("a profile adds seconds to the report's rows", Backend, bit::cpu<float>, bit::reference<double>) {
  using T = typename Backend::value_type;
  const auto model = bit::resnet_v2<Backend>(small, 1).freeze();
  const bit::dims4 dims{1, 3, 32, 32};
  const std::vector<T> images(dims.size(), T(0.5));
  const auto view = bit::view_of(images.data(), dims, bit::layout::nchw);
  const auto begin = std::chrono::steady_clock::now();
  const auto rows = model.profile(view, 3, {.threads = 2});
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  REQUIRE(rows.size() == model.report(dims).size());
  double least = 0;
  for (const auto& row : rows) {
    CAPTURE(row.step.name);
    CHECK(row.min_seconds > 0);
    CHECK(row.median_seconds >= row.min_seconds);
    least += row.min_seconds;
  }
  CHECK(3 * least <= taken.count());  // three runs, each at least the sum of its steps
  CHECK_THROWS_AS(model.profile(view, 0), bit::config_error);
}

TEST_CASE("the median of an even number of runs is the mean of the middle two") {
  std::vector<bit::step_profile> rows(2);
  bit::add_seconds(rows, {8, 1, 2, 7, 4, 3, 6, 5});
  CHECK(rows[0].min_seconds == 2);
  CHECK(rows[0].median_seconds == 5);
  CHECK(rows[1].min_seconds == 1);
  CHECK(rows[1].median_seconds == 4);
}

TEST_CASE("step_seconds may be shorter than the program, and stays as it is where nothing is asked") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const auto x = test::random_images({1, 3, 32, 32}, 1);
  std::vector<double> seconds(4, -1.0);
  bit::run_options options;
  const auto plain = model(x, bit::layout::nchw, options);
  CHECK(seconds == std::vector<double>(4, -1.0));
  options.step_seconds = std::span(seconds).first(3);
  CHECK(model(x, bit::layout::nchw, options) == plain);
  for (std::size_t i = 0; i < 3; ++i) CHECK(seconds[i] > 0);
  CHECK(seconds[3] == -1.0);
}

TEST_CASE("every instruction set's ceilings can be measured") {
  for (const std::string& isa : bit::available_isas()) {
    CAPTURE(isa);
    const auto set = bit::detail::instruction_set_of(isa);
    const auto& floats = bit::detail::microkernels_of<float>(set);
    const auto& halves = bit::detail::microkernels_of<bit::bfloat16>(set);
    // Every multiply-add adds 1·1 to a lane, so the lanes count operations, 16 to a tile's block of columns.
    const auto check = [](const auto& microkernels) {
      const auto sums = static_cast<double>(microkernels.tile_rows * microkernels.tile_columns);
      const double lanes = sums * 1000.0 / static_cast<double>(microkernels.fma_loop(1000));
      const double steps = static_cast<double>(microkernels.fma_loop_flops) / (2 * sums);
      CHECK(lanes * steps == std::floor(lanes * steps));
      CHECK(lanes * steps >= 4);
      CHECK(lanes * steps <= 16);
    };
    check(floats);
    check(halves);
    CHECK(halves.fma_loop_flops == 2 * floats.fma_loop_flops);
    const std::vector<float> ones(4096, 1.0f);
    CHECK(floats.read_loop(ones.data(), 4096) == 4096.0f);
  }
  const bit::detail::cpu_peak peak = bit::detail::measure_peak(1, bit::detail::default_instruction_set());
  CHECK(peak.fma_gflops > 0);
  CHECK(peak.bfloat16_gflops > 0);
  CHECK(peak.read_gbytes > 0);
}

TEST_CASE("the batch for throughput is a function of the model and the size, within the memory allowed") {
  const auto model = bit::resnet_v2<>(small, 1).freeze();
  const bit::dims4 image{.c = 3, .h = 96, .w = 64};
  const std::size_t best = model.throughput_batch(image);
  // Small images leave the fixed costs of a call to be shared: one at a time is never best.
  CHECK(best > 1);
  CHECK(best <= 32);
  CHECK(model.throughput_batch({.n = 7, .c = 3, .h = 96, .w = 64}) == best);
  CHECK(model.throughput_batch(image, 0) == 1);
  const std::size_t two = model.plan({2, 3, 96, 64}).total;
  CHECK(model.throughput_batch(image, two) <= 2);
  CHECK_THROWS_AS(model.throughput_batch({.c = 4, .h = 96, .w = 64}), bit::shape_error);
  // The reference takes images one by one whatever the batch.
  CHECK(bit::resnet_v2<bit::reference<float>>(small, 1).freeze().throughput_batch(image) == 1);
}
