// SPDX-License-Identifier: Apache-2.0
// One step of training: gradients of one or more parts of a batch, then one update. train(), train_step() and Python's
// Trainer all take their steps here.
#pragma once

#include <bit/backend/loss.hpp>
#include <bit/backend/run.hpp>
#include <bit/model/loss_function.hpp>
#include <bit/train/optimizer.hpp>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>

namespace bit::inline BIT_ABI::train {

/// A model that can be trained. accumulate() adds scale·weight·dloss/dparameter to the gradients and returns the loss; see
/// trainable_resnet_v2.
template <class Model, class T = float>
concept trainable_model = requires(Model& m, const image_view<T>& images, const loss& what, const loss_function<T>& own,
                                   const run_options& run, double weight) {
  { m.parameters() } -> std::convertible_to<trainable_parameters<T>&>;
  { m.accumulate(images, what, 1.0, {}, run, weight) } -> std::convertible_to<double>;
  { m.accumulate(images, own, 1.0, {}, run, weight) } -> std::convertible_to<double>;
};

/// Seconds by phase.
struct phase_seconds {
  double load = 0, gradients = 0, update = 0, evaluate = 0, save = 0;
};

/// One finished step.
struct update_report {
  std::size_t step = 0;  ///< number of updates done, this one included
  double loss = 0;       ///< mean over the step's images, before the update
  double rate = 0;
  std::optional<double> gradient_norm;  ///< if gradients are clipped
  std::size_t images = 0;
  phase_seconds seconds;  ///< of this step
};

/// One part of a step. Nothing is owned.
template <class T>
struct step_part {
  image_view<T> images;
  loss what = cross_entropy{};
  const loss_function<T>* own = nullptr;  ///< a loss of the caller's, instead
  double weight = 1;                      ///< multiplies the part's loss and its gradient
};

/// How a step is taken.
struct step_plan {
  std::size_t number = 0;  ///< updates done before it
  std::size_t images = 0;  ///< of all parts together, as planned: some may turn out to be missing
  std::size_t parts = 1;
  double rate = 0;
  run_options execution = {};
};

}  // namespace bit::inline BIT_ABI::train

namespace bit::inline BIT_ABI::detail {

/// Adds the seconds of its own life to `total`.
class phase_clock {
 public:
  explicit phase_clock(double& total) : total_(total) {}
  phase_clock(const phase_clock&) = delete;
  phase_clock& operator=(const phase_clock&) = delete;
  ~phase_clock() { total_ += std::chrono::duration<double>(clock::now() - start_).count(); }

 private:
  using clock = std::chrono::steady_clock;
  double& total_;
  clock::time_point start_ = clock::now();
};

inline void check_loss(double loss, std::uint64_t step) {
  if (!std::isfinite(loss))
    throw diverged_error("[training] the loss of step " + std::to_string(step) + " is " +
                         (std::isnan(loss) ? "NaN" : "infinite") +
                         "; no parameter was changed. A lower learning rate, or a longer warm-up, may help");
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

/// Takes one step: gradients begin at zero, each part adds its own, weighted by its share of the planned images, and the
/// optimizer changes the parameters. `for_part(i, report, accumulate)` is called for each part in order and calls
/// accumulate(step_part) once, which returns the part's loss, or not at all if the part has no images; it may add seconds
/// to the report. Images that are missing are made up for: the step is the mean over those that came. Throws config_error
/// if none came, diverged_error, before anything is changed, if the loss or a clipped gradient is not finite, and what
/// for_part and the model throw; the parameters are then as they were.
template <class T, trainable_model<T> Model, class ForPart>
update_report take_step(Model& model, basic_optimizer<T>& by, const step_plan& plan, const ForPart& for_part) {
  update_report report;
  report.step = plan.number + 1;
  report.rate = plan.rate;
  const auto planned = static_cast<double>(plan.images);
  model.parameters().zero_gradients();
  for (std::size_t i = 0; i < plan.parts; ++i)
    for_part(i, report, [&](const step_part<T>& part) {
      const detail::phase_clock timing(report.seconds.gradients);
      const double share = static_cast<double>(part.images.dims.n) / planned;
      const double value = part.own ? model.accumulate(part.images, *part.own, share, {}, plan.execution, part.weight)
                                    : model.accumulate(part.images, part.what, share, {}, plan.execution, part.weight);
      report.loss += share * (part.weight * value);
      report.images += part.images.dims.n;
      return value;
    });
  if (report.images == 0)
    throw config_error("[training] the data has no images for step " + std::to_string(plan.number));
  const double correction = planned / static_cast<double>(report.images);
  report.loss *= correction;
  detail::check_loss(report.loss, plan.number);
  const detail::phase_clock timing(report.seconds.update);
  report.gradient_norm = by.step(plan.rate, plan.execution.threads, correction);
  return report;
}

/// Takes one step with all images at once and returns their mean loss before it; throws as take_step() does.
template <class T, trainable_model<T> Model>
double train_step(Model& model, basic_optimizer<T>& by, const image_view<T>& images, const loss& what, double rate,
                  const run_options& run = {}) {
  const step_plan plan{static_cast<std::size_t>(by.updates()), images.dims.n, 1, rate, run};
  return take_step<T>(model, by, plan,
                      [&](std::size_t, update_report&, const auto& accumulate) {
                        accumulate(step_part<T>{images, what});
                      })
      .loss;
}

/// The same with a loss of the caller's own.
template <class T, trainable_model<T> Model>
double train_step(Model& model, basic_optimizer<T>& by, const image_view<T>& images, const loss_function<T>& own,
                  double rate, const run_options& run = {}) {
  const step_plan plan{static_cast<std::size_t>(by.updates()), images.dims.n, 1, rate, run};
  return take_step<T>(model, by, plan,
                      [&](std::size_t, update_report&, const auto& accumulate) {
                        accumulate(step_part<T>{images, cross_entropy{}, &own});
                      })
      .loss;
}

}  // namespace bit::inline BIT_ABI::train
