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
  double operations = 0, map_elements = 0, steps = 0;
};

inline image_cost cost_of_image(const train::tunable_model& model, std::size_t side) {
  const std::string output = "logits";
  image_cost cost;
  for (const auto& row : summarise(model.network().emit({1, 3, side, side}, {&output, 1}))) {
    cost.operations += 2.0 * static_cast<double>(row.macs);
    cost.map_elements += static_cast<double>(row.output_elements);
    cost.steps += 1;
  }
  return cost;
}

}  // namespace bit::inline v0::detail

namespace bit::inline v0::train {

BIT_FUNC time_estimate estimate_time(const recipe& plan, const fine_tune_options& options, const tunable_model& model,
                                     std::size_t validation) {
  // Fitted to the processor time of steps of R50x1 (8 and 32 images of 64, 1 to 16 of 128, 2 and 8 of 224), R101x1 (8 of
  // 128) and a network of one unit per block (64 of 32, 16 of 128) with two cores of Emerald Rapids, 2026-11; the fit is
  // within a fifth of each, in both number formats. Parts near 1 are of direct convolutions: Winograd's take less.
  constexpr double training_part = 0.95, inference_part = 1, map_passes = 8, parameter_passes = 30, overhead = 1e-5;
  const auto isa = detail::default_instruction_set();
  const auto peak = detail::measure_peak(cpu<float>::threads(options.threads), isa);
  // Where bfloat16 is multiplied as floats, a step takes float32's time: widening costs what smaller maps save.
  const bool pairs =
      plan.dtype == bit::dtype::bfloat16 && detail::microkernels_of<bfloat16>(isa).packed_bytes == sizeof(bfloat16);
  const double flops = 1e9 * (pairs ? peak.bfloat16_gflops : peak.fma_gflops), bandwidth = 1e9 * peak.read_gbytes;
  const double map_width = pairs ? sizeof(bfloat16) : sizeof(float);
  const auto image = detail::cost_of_image(model, plan.rule.resolution.crop);
  const double map_seconds = map_passes * map_width * image.map_elements / bandwidth;
  double parameter_bytes = 0;
  for (const auto& p : model.parameters()) parameter_bytes += sizeof(float) * static_cast<double>(p.value.size());

  time_estimate time;
  const auto batch = static_cast<double>(plan.batch);
  time.step = batch * (3 * image.operations / (training_part * flops) + map_seconds + 3 * image.steps * overhead) +
              parameter_passes * parameter_bytes / bandwidth;
  time.evaluation = static_cast<double>(validation) *
                    (image.operations / (inference_part * flops) + map_seconds / 3 + image.steps * overhead);
  const std::size_t evaluations =
      options.eval_every == 0 ? 1 : (plan.steps + options.eval_every - 1) / options.eval_every;
  time.total = static_cast<double>(plan.steps) * time.step + static_cast<double>(evaluations) * time.evaluation;
  return time;
}

}  // namespace bit::inline v0::train
