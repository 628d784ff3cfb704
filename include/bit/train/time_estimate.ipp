// Bodies of train/time_estimate.hpp.
#pragma once

#include <string>

#include <bit/backend/cpu/peak.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/program/summary.hpp>
#include <bit/train/time_estimate.hpp>

namespace bit::inline v0::detail {

/// What one image costs going forward.
struct image_cost {
  double operations = 0, map_bytes = 0, steps = 0;
};

inline image_cost cost_of_image(const train::tunable_model& model, std::size_t side) {
  const std::string output = "logits";
  image_cost cost;
  for (const auto& row : summarise(model.network().emit({1, 3, side, side}, {&output, 1}))) {
    cost.operations += 2.0 * static_cast<double>(row.macs);
    cost.map_bytes += sizeof(float) * static_cast<double>(row.output_elements);
    cost.steps += 1;
  }
  return cost;
}

}  // namespace bit::inline v0::detail

namespace bit::inline v0::train {

BIT_FUNC time_estimate estimate_time(const recipe& plan, const fine_tune_options& options, const tunable_model& model,
                                     std::size_t validation) {
  // Fitted to the processor time of steps of R50x1 (8 images of 64, 4 of 128, 2 of 224) and of a network of one unit
  // per block (64 of 32) on the machine of docs/benchmarks.md, 2026-11; the fit is within a fifth of each.
  constexpr double training_part = 0.65, inference_part = 0.75, map_passes = 32, parameter_passes = 11, overhead = 5e-6;
  // A step of R50x1 took 0.71 s of processor time in float32 and 0.45 s with bfloat16's instructions.
  constexpr double bfloat16_gain = 1.6;
  const auto isa = detail::default_instruction_set();
  const auto peak = detail::measure_peak(cpu<float>::threads(options.threads), isa);
  const bool pairs = plan.dtype == number_format::bfloat16 && isa == detail::instruction_set::avx512_bf16;
  const double flops = (pairs ? bfloat16_gain : 1) * 1e9 * peak.fma_gflops, bandwidth = 1e9 * peak.read_gbytes;
  const auto image = detail::cost_of_image(model, plan.rule.resolution.crop);
  double parameter_bytes = 0;
  for (const auto& p : model.parameters()) parameter_bytes += sizeof(float) * static_cast<double>(p.value.size());

  time_estimate time;
  const auto batch = static_cast<double>(plan.batch);
  time.step = batch * (3 * image.operations / (training_part * flops) + map_passes * image.map_bytes / bandwidth +
                       3 * image.steps * overhead) +
              parameter_passes * parameter_bytes / bandwidth;
  time.evaluation =
      static_cast<double>(validation) * (image.operations / (inference_part * flops) +
                                         map_passes / 3 * image.map_bytes / bandwidth + image.steps * overhead);
  const std::size_t evaluations =
      options.eval_every == 0 ? 1 : (plan.steps + options.eval_every - 1) / options.eval_every;
  time.total = static_cast<double>(plan.steps) * time.step + static_cast<double>(evaluations) * time.evaluation;
  return time;
}

}  // namespace bit::inline v0::train
