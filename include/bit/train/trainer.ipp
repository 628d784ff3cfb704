// Bodies of train/trainer.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include <bit/error.hpp>
#include <bit/train/loss.hpp>
#include <bit/train/metrics_log.hpp>
#include <bit/train/run_folder.hpp>
#include <bit/train/trainer.hpp>

namespace bit::inline v0::detail {

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

inline void add(train::phase_seconds& total, const train::phase_seconds& part) {
  total.load += part.load;
  total.gradients += part.gradients;
  total.update += part.update;
  total.evaluate += part.evaluate;
  total.save += part.save;
}

template <class T>
std::unique_ptr<loss_function<T>> loss_of(const train::basic_trainer_options<T>& options,
                                          const train::basic_micro_batch<T>& batch) {
  using loss = train::cross_entropy<T>;
  if (options.loss) return options.loss(batch);
  if (!batch.targets.empty())
    return std::make_unique<loss>(loss::of_probabilities(batch.targets, options.label_smoothing));
  return std::make_unique<loss>(batch.labels, batch.partners, batch.weight, options.label_smoothing);
}

inline void check_loss(double loss, std::uint64_t step) {
  if (!std::isfinite(loss))
    throw diverged_error("[training] the loss of step " + std::to_string(step) + " is " + std::to_string(loss) +
                         "; nothing was changed by it. A lower learning rate, or a longer warm-up, may help");
}

/// What a run writes; does nothing without a folder.
template <class T>
class run_recorder {
 public:
  run_recorder(std::span<const trainable_parameter<T>> parameters, train::basic_optimizer<T>& by,
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
  bool resumed() const { return resumed_; }
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
      if constexpr (has_files) train::save_training(folder_->last(), parameters_, by_, state_);
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
      state_ = train::restore_training(folder_->last(), parameters_, by_, options_.run);
      state_.metadata = metadata;
      saved_step_ = state_.step;
      saved_best_ = state_.best;
      resumed_ = true;
    }
    log_.emplace(folder_->metrics());
    log_->write(train::metrics_line("start").add("step", state_.step).add("seed", state_.seed));
  }
  void report(const std::filesystem::path& path) {
    log_->write(train::metrics_line("checkpoint").add("step", state_.step).add("file", path.filename().string()));
    if (options_.on_checkpoint) options_.on_checkpoint(static_cast<std::size_t>(state_.step), path);
  }

  std::span<const trainable_parameter<T>> parameters_;
  train::basic_optimizer<T>& by_;
  const train::basic_trainer_options<T>& options_;
  train::training_state state_;
  std::optional<train::run_folder> folder_;
  std::optional<train::metrics_log> log_;
  std::optional<std::uint64_t> saved_step_;  // what last.safetensors holds
  std::optional<double> saved_best_;
  bool resumed_ = false;
  clock::time_point saved_at_ = clock::now();
};

/// Loss and gradients of one step, part by part; each part weighs by its share of the planned images. Returns what the
/// gradients must be multiplied with, which is 1 unless images were left out.
template <class T, class Model>
double accumulate_step(Model& model, train::basic_batch_source<T>& data, const train::basic_trainer_options<T>& options,
                       train::update_report& report) {
  const std::size_t step = report.step - 1;
  const auto planned = static_cast<double>(data.size(step));
  model.zero_gradients();
  for (std::size_t part = 0; part < options.batch_split; ++part) {
    train::basic_micro_batch<T> batch;
    {
      const phase_clock timing(report.seconds.load);
      batch = data.read(step, part, options.batch_split);
      if (options.mix && batch.size() != 0) options.mix(step, part, batch);
    }
    if (batch.size() == 0) continue;
    const phase_clock timing(report.seconds.gradients);
    const double share = static_cast<double>(batch.size()) / planned;
    report.loss += share * model.accumulate(batch.view(), *loss_of(options, batch), share, {}, options.execution);
    report.images += batch.size();
  }
  if (report.images == 0) throw config_error("[training] the data has no images for step " + std::to_string(step));
  const double correction = planned / static_cast<double>(report.images);
  report.loss *= correction;
  return correction;
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
  record.write(train::metrics_line("evaluation")
                   .add("step", state.step)
                   .add("examples", std::uint64_t{found.examples})
                   .add("loss", found.loss)
                   .add("top1", found.top1)
                   .add("top5", found.top5)
                   .add("seconds", seconds));
  if (options.on_evaluation) options.on_evaluation(step, found);
  if (state.best && !(found.top1 > *state.best)) return;
  state.best = found.top1;
  state.best_step = state.step;
  const phase_clock timing(result.seconds.save);
  record.save_best();
}

/// One update, reported.
template <class T, class Model>
void update_once(Model& model, train::basic_optimizer<T>& by, train::basic_batch_source<T>& data,
                 const train::basic_trainer_options<T>& options, double rate, run_recorder<T>& record,
                 train::training_result& result) {
  train::training_state& state = record.state();
  train::update_report report;
  report.step = static_cast<std::size_t>(state.step) + 1;
  report.rate = rate;
  const double correction = accumulate_step(model, data, options, report);
  check_loss(report.loss, state.step);
  {
    const phase_clock timing(report.seconds.update);
    report.gradient_norm = by.step(rate, options.execution.threads, correction);
    ++state.step;
    model.parameters_changed();
  }
  result.loss = report.loss;
  add(result.seconds, report.seconds);
  write_step(record, report);
  if (options.on_step) options.on_step(report);
}

/// Steps, evaluations and saves, until the schedule ends or the caller wants to stop.
template <class T, class Model>
void train_on(Model& model, train::basic_optimizer<T>& by, train::basic_batch_source<T>& data,
              const train::basic_trainer_options<T>& options, run_recorder<T>& record, train::training_result& result) {
  const train::training_state& state = record.state();
  const auto due = [&](std::size_t every) { return every != 0 && state.step % every == 0; };
  const std::size_t save_every = options.save_every != 0 ? options.save_every : options.eval_every;
  std::optional<std::uint64_t> evaluated;
  while (const auto rate = options.rate(static_cast<std::size_t>(state.step))) {
    result.interrupted = options.should_stop && options.should_stop();
    if (result.interrupted) break;
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

}  // namespace bit::inline v0::detail

namespace bit::inline v0::train {

template <class Model, class T>
double train_step(Model& model, basic_optimizer<T>& by, const image_view<T>& images, const loss_function<T>& loss,
                  double rate, const run_options& run) {
  model.zero_gradients();
  const double value = model.accumulate(images, loss, 1.0, {}, run);
  detail::check_loss(value, by.updates());
  by.step(rate, run.threads);
  model.parameters_changed();
  return value;
}

template <class T, trainable_model<T> Model>
training_result train(Model& model, basic_optimizer<T>& by, basic_batch_source<T>& data,
                      const basic_trainer_options<T>& options) {
  if (!options.rate || options.batch_split == 0)
    throw config_error("[training] expected a schedule `rate` and a batch_split of at least 1");
  detail::run_recorder<T> record(model.parameters(), by, options);
  const training_state& state = record.state();
  if (record.resumed()) model.parameters_changed();
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

}  // namespace bit::inline v0::train
