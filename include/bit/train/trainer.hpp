// SPDX-License-Identifier: Apache-2.0
// The training loop: steps by a schedule, evaluation, checkpoints, resume. train/step.hpp takes one step and lists what a
// model must give.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <bit/config.hpp>
#include <bit/train/batch.hpp>
#include <bit/train/best_metric.hpp>
#include <bit/train/checkpoint.hpp>
#include <bit/train/evaluation.hpp>
#include <bit/train/optimizer.hpp>
#include <bit/train/step.hpp>

namespace bit::inline BIT_ABI::train {

/// The loss of one part of a step, for logs as bit_pytorch writes them.
struct part_report {
  std::size_t step = 0;  ///< number of the update, from 0 on
  std::size_t part = 0, parts = 1;
  double loss = 0;  ///< mean over the part's images
  double rate = 0;
};

/// How a run goes. All functions are called by the thread that calls train(). T is float, or double for the reference
/// backend.
template <class T>
struct basic_trainer_options {
  /// The learning rate of update number `step`, from 0 on, or nothing at the end. Must be set.
  std::function<std::optional<double>(std::size_t step)> rate = nullptr;
  std::size_t batch_split = 1;  ///< parts that a step's images are taken in; the results differ by rounding alone
  /// Changes a part after it was read: mixup, a teacher's logits, another weight.
  std::function<void(std::size_t step, std::size_t part, basic_micro_batch<T>&)> mix = nullptr;
  /// The loss of a part, which may view the part's labels; by default distillation if it has a teacher's logits,
  /// otherwise softmax cross-entropy of its targets, or of its labels and partners.
  std::function<bit::loss(const basic_micro_batch<T>&)> loss = nullptr;
  /// Instead of `loss`, one of the caller's own.
  std::function<std::unique_ptr<loss_function<T>>(const basic_micro_batch<T>&)> own_loss = nullptr;
  double label_smoothing = 0;  ///< of the default loss

  std::function<evaluation(std::size_t step)> evaluate = nullptr;
  std::size_t eval_every = 0;               ///< steps; 0: at the end only
  best_metric best_by = best_metric::top1;  ///< chooses best.safetensors
  std::size_t patience = 0;  ///< evaluations in a row without a new best after which the run ends; 0: none
  double max_seconds = 0;    ///< the run ends, evaluated and saved, after this time; it can be continued. 0: none

  std::filesystem::path folder = {};  ///< empty: nothing is written, and nothing resumed; files hold float alone
  training_state run = {};            ///< what this run is: seed, flags, architecture, labels, metadata
  std::size_t save_every = 0;         ///< steps; 0: with each evaluation. The end and an interrupt save, too
  double save_seconds = 600;          ///< saves when so much time has passed since the last save; 0: never

  std::function<void(const part_report&)> on_part = nullptr;
  std::function<void(const update_report&)> on_step = nullptr;
  std::function<void(std::size_t step, const evaluation&)> on_evaluation = nullptr;
  std::function<void(std::size_t step, const std::filesystem::path&)> on_checkpoint = nullptr;
  /// After an evaluation that reached a new best, while the model still is it.
  std::function<void(std::size_t step)> on_best = nullptr;
  /// Asked before each step, e.g. for a signal's flag: true saves and returns.
  std::function<bool()> should_stop = nullptr;
  run_options execution = {};
};

using trainer_options = basic_trainer_options<float>;

/// Why a run ended before its schedule.
enum class early_end {
  none,
  patience,  ///< evaluations have brought nothing better for too long
  time,      ///< max_seconds have passed
};

/// How a run ended.
struct training_result {
  bool interrupted = false;  ///< by should_stop
  early_end ended = early_end::none;
  std::size_t first_step = 0;  ///< above 0 if the run was resumed
  std::size_t step = 0;        ///< updates done
  std::optional<double> loss;  ///< of the last step of this call
  std::optional<evaluation> last_evaluation;
  std::optional<double> best;  ///< the best number of those that best_by means, and the step that reached it first
  std::size_t best_step = 0;
  phase_seconds seconds;  ///< in total
};

/// Trains until the schedule ends or should_stop says so. If `options.folder` holds a run, that run is continued, with the
/// same bits as if it had never stopped. Evaluations that are better by best_by write best.safetensors. Throws
/// - config_error without a schedule, for a batch_split of 0, for patience without eval_every, for a folder in double precision, or if it holds another run;
/// - diverged_error if the loss, a clipped gradient or a parameter is not finite; last.safetensors stays as it was;
/// - io_error if the folder cannot be written or used; the message names the step that can be resumed from;
/// - what the source, the model and the functions throw, after last.safetensors was brought up to the last finished step.
template <class T, trainable_model<T> Model>
training_result train(Model& model, basic_optimizer<T>& by, basic_batch_source<T>& data,
                      const basic_trainer_options<T>& options);

}  // namespace bit::inline BIT_ABI::train

#include <bit/train/trainer.ipp>
