// SPDX-License-Identifier: Apache-2.0
// Bodies of train/trainer.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include <bit/error.hpp>
#include <bit/train/metrics_log.hpp>
#include <bit/train/run_folder.hpp>
#include <bit/train/trainer.hpp>

namespace bit::inline BIT_ABI::detail {

inline void add(train::phase_seconds& total, const train::phase_seconds& part) {
  total.load += part.load;
  total.gradients += part.gradients;
  total.update += part.update;
  total.evaluate += part.evaluate;
  total.save += part.save;
}

/// The loss of a part that the options do not choose.
template <class T>
loss default_loss(const train::basic_micro_batch<T>& batch, double smoothing) {
  if (!batch.teacher.empty()) return distillation{batch.teacher, batch.temperature};
  if (!batch.targets.empty()) return cross_entropy{.smoothing = smoothing, .probabilities = batch.targets};
  return cross_entropy{batch.labels, batch.partners, batch.weight, smoothing};
}

/// What a run writes; does nothing without a folder.
template <class T>
class run_recorder {
 public:
  run_recorder(const trainable_parameters<T>& parameters, train::basic_optimizer<T>& by,
               const train::basic_trainer_options<T>& options)
      : parameters_(parameters), by_(by), options_(options), state_(options.run) {
    if (options.folder.empty()) return;
    if constexpr (!has_files)
      throw config_error("[training] checkpoints hold float32: expected no folder for a run in double precision, got " +
                         options.folder.string());
    else
      open();
  }

  train::training_state& state() { return state_; }
  double seconds_since_save() const { return std::chrono::duration<double>(clock::now() - saved_at_).count(); }

  void write(const train::metrics_line& line) {
    if (log_) log_->write(line);
  }
  /// What can be continued, for messages.
  std::string advice() const {
    if (!folder_) return "";
    return saved_step_ ? "; " + folder_->last().string() + " holds step " + std::to_string(*saved_step_)
                       : "; nothing had been saved yet";
  }
  void save_last() {
    if (!folder_ || (saved_step_ == state_.step && saved_best_ == state_.best)) return;
    try {
      if constexpr (has_files) train::save_training(folder_->last(), by_, state_);
    } catch (const io_error& e) {
      throw io_error(e.what() + advice() + "; make room and run again to continue", e.code);
    }
    saved_step_ = state_.step;
    saved_best_ = state_.best;
    saved_at_ = clock::now();
    report(folder_->last());
  }
  /// Between two steps everything is sound, whatever else went wrong.
  void save_if_possible() noexcept {
    try {
      save_last();
    } catch (...) {  // what went wrong first is what the caller should hear of
    }
  }
  void save_best() {
    if (!folder_) return;
    if constexpr (has_files) train::save_weights(folder_->best(), parameters_, state_);
    report(folder_->best());
  }

 private:
  using clock = std::chrono::steady_clock;
  static constexpr bool has_files = std::is_same_v<T, float>;

  void open() {
    folder_.emplace(options_.folder);
    if (std::filesystem::exists(folder_->last())) {
      const auto metadata = std::move(state_.metadata);
      state_ = train::restore_training(folder_->last(), by_, options_.run);
      state_.metadata = metadata;
      saved_step_ = state_.step;
      saved_best_ = state_.best;
    }
    log_.emplace(folder_->metrics());
    log_->write(train::metrics_line("start").add("step", state_.step).add("seed", state_.seed));
  }
  void report(const std::filesystem::path& path) {
    log_->write(train::metrics_line("checkpoint").add("step", state_.step).add("file", path.filename().string()));
    if (options_.on_checkpoint) options_.on_checkpoint(static_cast<std::size_t>(state_.step), path);
  }

  const trainable_parameters<T>& parameters_;
  train::basic_optimizer<T>& by_;
  const train::basic_trainer_options<T>& options_;
  train::training_state state_;
  std::optional<train::run_folder> folder_;
  std::optional<train::metrics_log> log_;
  std::optional<std::uint64_t> saved_step_;  // what last.safetensors holds
  std::optional<double> saved_best_;
  clock::time_point saved_at_ = clock::now();
};

/// Reads a part of a step and gives it to `accumulate`; see take_step().
template <class T, class Accumulate>
void train_on_part(train::basic_batch_source<T>& data, const train::basic_trainer_options<T>& options, std::size_t part,
                   train::update_report& report, const Accumulate& accumulate) {
  const std::size_t step = report.step - 1;
  train::basic_micro_batch<T> batch;
  {
    const phase_clock timing(report.seconds.load);
    batch = data.read(step, part, options.batch_split);
    if (options.mix && batch.size() != 0) options.mix(step, part, batch);
  }
  if (batch.size() == 0) return;
  train::step_part<T> work{batch.view()};
  work.weight = batch.loss_weight;
  std::unique_ptr<loss_function<T>> own;
  if (options.own_loss) {
    own = options.own_loss(batch);
    work.own = own.get();
  } else {
    work.what = options.loss ? options.loss(batch) : default_loss(batch, options.label_smoothing);
  }
  const double value = accumulate(work);
  if (options.on_part) options.on_part({step, part, options.batch_split, value, report.rate});
}

template <class T>
void write_step(run_recorder<T>& record, const train::update_report& report) {
  train::metrics_line line("step");
  line.add("step", std::uint64_t{report.step}).add("loss", report.loss).add("lr", report.rate);
  if (report.gradient_norm) line.add("gradient_norm", *report.gradient_norm);
  line.add("images", std::uint64_t{report.images})
      .add("load_seconds", report.seconds.load)
      .add("gradient_seconds", report.seconds.gradients)
      .add("update_seconds", report.seconds.update);
  record.write(line);
}

/// Evaluates and keeps the best.
template <class T>
void evaluate_now(const train::basic_trainer_options<T>& options, run_recorder<T>& record,
                  train::training_result& result) {
  if (!options.evaluate) return;
  auto& state = record.state();
  const auto step = static_cast<std::size_t>(state.step);
  double seconds = 0;
  {
    const phase_clock timing(seconds);
    result.last_evaluation = options.evaluate(step);
  }
  result.seconds.evaluate += seconds;
  const auto& found = *result.last_evaluation;
  const double score = score_of(found, options.best_by);
  train::metrics_line line("evaluation");
  line.add("step", state.step)
      .add("examples", std::uint64_t{found.examples})
      .add("loss", found.loss)
      .add("top1", found.top1)
      .add("top5", found.top5);
  if (options.best_by != train::best_metric::top1 && options.best_by != train::best_metric::loss)
    line.add(to_string(options.best_by), score);
  record.write(line.add("seconds", seconds));
  if (options.on_evaluation) options.on_evaluation(step, found);
  if (state.best && !is_better(score, *state.best, options.best_by)) return;
  state.best = score;
  state.best_step = state.step;
  const phase_clock timing(result.seconds.save);
  record.save_best();
  if (options.on_best) options.on_best(step);
}

/// One update, reported.
template <class T, class Model>
void update_once(Model& model, train::basic_optimizer<T>& by, train::basic_batch_source<T>& data,
                 const train::basic_trainer_options<T>& options, double rate, run_recorder<T>& record,
                 train::training_result& result) {
  train::training_state& state = record.state();
  const auto step = static_cast<std::size_t>(state.step);
  const train::step_plan plan{step, data.size(step), options.batch_split, rate, options.execution};
  const auto report =
      train::take_step<T>(model, by, plan, [&](std::size_t part, train::update_report& so_far, const auto& accumulate) {
        train_on_part(data, options, part, so_far, accumulate);
      });
  ++state.step;
  result.loss = report.loss;
  add(result.seconds, report.seconds);
  write_step(record, report);
  if (options.on_step) options.on_step(report);
}

/// Why the run should end before its schedule, if it should. Whole evaluations are counted, so that a continued run ends
/// where it would have ended.
template <class T>
train::early_end early_end_of(const train::basic_trainer_options<T>& options, const train::training_state& state,
                              double seconds) {
  if (options.patience != 0 && state.best &&
      state.step / options.eval_every - state.best_step / options.eval_every >= options.patience)
    return train::early_end::patience;
  if (options.max_seconds > 0 && seconds >= options.max_seconds) return train::early_end::time;
  return train::early_end::none;
}

/// Steps, evaluations and saves, until the schedule ends or the caller wants to stop.
template <class T, class Model>
void train_on(Model& model, train::basic_optimizer<T>& by, train::basic_batch_source<T>& data,
              const train::basic_trainer_options<T>& options, run_recorder<T>& record, train::training_result& result) {
  const train::training_state& state = record.state();
  const auto due = [&](std::size_t every) { return every != 0 && state.step % every == 0; };
  const std::size_t save_every = options.save_every != 0 ? options.save_every : options.eval_every;
  std::optional<std::uint64_t> evaluated;
  double elapsed = 0;
  while (const auto rate = options.rate(static_cast<std::size_t>(state.step))) {
    result.interrupted = options.should_stop && options.should_stop();
    if (!result.interrupted) result.ended = early_end_of(options, state, elapsed);
    if (result.interrupted || result.ended != train::early_end::none) break;
    const phase_clock whole(elapsed);
    update_once(model, by, data, options, *rate, record, result);
    if (due(options.eval_every)) {
      evaluate_now(options, record, result);
      evaluated = state.step;
    }
    const phase_clock timing(result.seconds.save);
    if (due(save_every) || (options.save_seconds > 0 && record.seconds_since_save() > options.save_seconds))
      record.save_last();
  }
  if (!result.interrupted && evaluated != state.step) evaluate_now(options, record, result);
  const phase_clock timing(result.seconds.save);
  record.save_last();
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

template <class T, trainable_model<T> Model>
training_result train(Model& model, basic_optimizer<T>& by, basic_batch_source<T>& data,
                      const basic_trainer_options<T>& options) {
  if (!options.rate || options.batch_split == 0)
    throw config_error("[training] expected a schedule `rate` and a batch_split of at least 1");
  if (options.patience != 0 && (options.eval_every == 0 || !options.evaluate))
    throw config_error("[training] patience counts evaluations: expected eval_every and a validation set with it");
  if (static_cast<trainable_parameters<T>*>(&model.parameters()) != &by.parameters())
    throw config_error("[training] expected an optimizer of this model's parameters, got one of another model");
  detail::run_recorder<T> record(model.parameters(), by, options);
  const training_state& state = record.state();
  training_result result;
  result.first_step = static_cast<std::size_t>(state.step);
  try {
    detail::train_on(model, by, data, options, record, result);
  } catch (const diverged_error& e) {
    throw diverged_error(e.what() + record.advice());
  } catch (...) {
    record.save_if_possible();
    throw;
  }
  result.step = static_cast<std::size_t>(state.step);
  result.best = state.best;
  result.best_step = static_cast<std::size_t>(state.best_step);
  record.write(metrics_line(result.interrupted ? "interrupted" : "end").add("step", state.step));
  return result;
}

}  // namespace bit::inline BIT_ABI::train
