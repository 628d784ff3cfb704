// SPDX-License-Identifier: Apache-2.0
// Bodies of train/fine_tune.hpp.
#pragma once

#include <algorithm>
#include <bit/detail/json.hpp>
#include <bit/error.hpp>
#include <bit/io/head.hpp>
#include <bit/io/metadata.hpp>
#include <bit/train/class_weights.hpp>
#include <bit/train/fine_tune.hpp>
#include <bit/train/kept_features.hpp>
#include <bit/train/loader_source.hpp>
#include <bit/train/optimizer_choice.hpp>
#include <bit/train/trainable_backends.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// The entry that pybit.load() reads: labels, and how images become what the network was trained on.
inline std::string metadata_json(const train::recipe& plan, const std::vector<std::string>& labels,
                                 const std::string& name) {
  constexpr const char* methods[] = {"pillow", "pillow12", "tf"};
  return "{" + (name.empty() ? "" : "\"name\":" + json_string(name) + ",") + "\"labels\":" + json_list(labels) +
         ",\"preprocessing\":{\"size\":" + std::to_string(plan.rule.resolution.crop) +
         ",\"mode\":\"squash\",\"resampling\":\"" + methods[static_cast<std::size_t>(plan.augmentation.method)] +
         "\"}}";
}

/// The run's identity for its checkpoints.
inline train::training_state state_of(const train::recipe& plan, const train::fine_tune_options& options,
                                      const data::dataset& images, const resnet_config& config) {
  train::training_state run;
  run.seed = plan.seed;
  run.architecture = plan.architecture;
  run.flags = flags_of(plan, options, images);
  run.labels = images.class_names();
  run.metadata = io::config_metadata(config);
  run.metadata["pybit"] = metadata_json(plan, run.labels, options.name);
  run.metadata["bit.input_size"] = std::to_string(plan.rule.resolution.crop);
  for (const auto& [key, value] : options.metadata) run.metadata[key] = value;
  return run;
}

/// A teacher's logits of a part's images.
inline void add_teacher(const train::fine_tune_options& options, std::size_t classes, train::micro_batch& batch) {
  std::vector<float> logits(batch.size() * classes);
  options.teacher(batch.view(), logits.data());
  batch.teacher.assign(logits.begin(), logits.end());
  batch.temperature = options.temperature;
}

/// Mixup, a teacher, what a part weighs, and the loss. In bit_pytorch's manner a short part counts as much as the others.
inline void install_loss(train::trainer_options& how, const train::recipe& plan,
                         const train::fine_tune_options& options, const train::batch_source& source) {
  const auto mixup = train::mixup_of(plan.rule.mixup_alpha, plan.partner, plan.seed, plan.batch_split);
  const bool equal_parts = plan.compat == train::compat_mode::pytorch;
  how.mix = [&source, &options, mixup, equal_parts, parts = plan.batch_split, classes = plan.classes](
                std::size_t step, std::size_t part, train::micro_batch& batch) {
    if (equal_parts)
      batch.loss_weight =
          static_cast<double>(source.size(step)) / (static_cast<double>(batch.size()) * static_cast<double>(parts));
    if (mixup) mixup(step, part, batch);
    if (options.teacher) add_teacher(options, classes, batch);
  };
  if (!options.class_weights.empty())
    how.own_loss = [&options](const train::micro_batch& batch) {
      return std::make_unique<train::class_weighted_loss>(batch, options.loss, options.label_smoothing,
                                                          options.class_weights);
    };
  how.loss = [kind = options.loss, smoothing = options.label_smoothing](const train::micro_batch& batch) {
    return make_loss(batch, kind, smoothing);
  };
}

/// What both ways of training tell the trainer; mixup and loss come with the source.
inline train::trainer_options trainer_options_of(const train::tunable_model& model, const data::dataset_split& split,
                                                 const train::fine_tune_options& options, const train::recipe& plan,
                                                 const train::fine_tune_callbacks& callbacks) {
  train::trainer_options how;
  how.rate = [rule = plan.rule, steps = plan.steps](std::size_t step) {
    return step < steps ? rule.lr(step) : std::nullopt;
  };
  how.batch_split = plan.batch_split;
  how.execution.threads = options.threads;
  how.folder = options.folder;
  how.save_every = options.save_every != 0 ? options.save_every : options.eval_every;
  how.save_seconds = options.save_seconds;
  if (!options.folder.empty()) how.run = state_of(plan, options, *split.train, model.config());
  how.on_part = callbacks.on_part;
  how.on_step = callbacks.on_step;
  how.on_evaluation = callbacks.on_evaluation;
  how.best_by = plan.best_by;
  how.patience = options.patience;
  how.max_seconds = options.max_seconds;
  how.on_checkpoint = callbacks.on_checkpoint;
  how.on_best = callbacks.on_best;
  how.should_stop = callbacks.should_stop;
  return how;
}

/// The order of the images, and with compat pytorch the batches that make a step.
inline std::pair<train::sampler, std::size_t> order_of(const train::recipe& plan, const data::dataset& images) {
  const bool micro_batches = plan.compat == train::compat_mode::pytorch;
  const bool balanced = plan.sampling == train::sample_order::balanced;
  const auto labels = balanced ? data::labels_of(images) : std::vector<std::size_t>{};
  return {train::sampler(plan.examples, micro_batches ? plan.batch / plan.batch_split : plan.batch, plan.seed,
                         {.order = plan.sampling, .end = plan.end}, labels),
          micro_batches ? plan.batch_split : 0};
}

inline train::training_result tune_all(train::tunable_model& model, const data::dataset_split& split,
                                       const train::fine_tune_options& options, const train::recipe& plan,
                                       const train::fine_tune_callbacks& callbacks) {
  const auto [order, batches] = order_of(plan, *split.train);
  train::loader_source source(split.train, order, plan.augmentation, plan.seed, options.loader, batches);
  auto how = trainer_options_of(model, split, options, plan, callbacks);
  install_loss(how, plan, options, source);
  if (split.validation && split.validation->size() != 0) {
    how.eval_every = options.eval_every;
    how.evaluate = [&](std::size_t) {
      train::auroc_counter ranks;
      train::evaluation_callbacks also;
      if (plan.best_by == train::best_metric::auroc)
        also.on_batch = [&](const train::labelled_batch& batch, std::span<const float> logits) {
          ranks.add(logits, batch.labels, plan.classes);
        };
      auto found =
          evaluate([&](const image_view<float>& images, float* out) { model.logits(images, out, how.execution); },
                   plan.classes, split.validation, plan.augmentation, options.eval_batch, options.loader, false, also);
      found.auroc = ranks.result();
      return found;
    };
  }
  how.on_step = [&, told = std::size_t{0}](const train::update_report& report) mutable {
    if (callbacks.on_skipped)
      for (const auto skipped = source.skipped(); told < skipped.size(); ++told) callbacks.on_skipped(skipped[told]);
    if (callbacks.on_step) callbacks.on_step(report);
  };
  const auto by = make_optimizer(model.parameters(), options);
  return train::train(model, *by, source, how);
}

/// The trunk runs once over each image; steps and evaluations then read its features.
inline train::training_result tune_head(train::tunable_model& model, const data::dataset_split& split,
                                        const train::fine_tune_options& options, const train::recipe& plan,
                                        const train::fine_tune_callbacks& callbacks) {
  auto how = trainer_options_of(model, split, options, plan, callbacks);
  const auto features_of = [&](const data::dataset_ptr& images) {
    auto found =
        train::compute_features(model, images, plan.augmentation, options.eval_batch, options.loader, how.execution);
    if (callbacks.on_skipped) std::for_each(found.skipped.begin(), found.skipped.end(), callbacks.on_skipped);
    return found;
  };
  const train::feature_table learned = features_of(split.train);
  train::feature_table held_out;
  if (split.validation && split.validation->size() != 0) {
    held_out = features_of(split.validation);
    how.eval_every = options.eval_every;
    how.evaluate = [&](std::size_t) {
      return train::evaluate_head(model, held_out, options.eval_batch, how.execution,
                                  plan.best_by == train::best_metric::auroc);
    };
  }
  model.release();  // what the trunk took
  const auto [order, batches] = order_of(plan, *split.train);
  train::feature_source source(learned, order, batches);
  install_loss(how, plan, options, source);
  const auto by = make_optimizer(model.parameters(), options);
  train::head_of head(model);
  return train::train(head, *by, source, how);
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC tunable_model with_new_head(const io::checkpoint& from, std::size_t classes, bit::dtype dtype) {
  const auto adapted = io::adapt_head(from, io::head::zero(classes));
  return make_tunable(adapted.config, adapted.tensors, dtype);
}

BIT_FUNC tunable_model with_own_head(const io::checkpoint& from, const std::vector<std::string>& classes,
                                     bit::dtype dtype) {
  if (classes.empty() || io::read_metadata(from).labels != classes)
    throw config_error("[fine_tune] expected a checkpoint whose head has the set's " + std::to_string(classes.size()) +
                       " classes, by the names and in the order that the file gives, to keep it; " + from.source +
                       " has others or names none");
  return make_tunable(from.config, from.tensors, dtype);
}

BIT_FUNC evaluation evaluate(const std::function<void(const image_view<float>&, float*)>& logits, std::size_t classes,
                             const data::dataset_ptr& images, const data::augment_spec& spec, std::size_t batch,
                             const batch_loader_options& loader, bool keep_pairs,
                             const evaluation_callbacks& callbacks) {
  if (classes != images->class_names().size())
    throw config_error("[evaluate] the network has " + std::to_string(classes) + " classes, the data set " +
                       std::to_string(images->class_names().size()) + "; fine-tune it on the set first");
  evaluation_counter counter(keep_pairs);
  const sampler order(images->size(), batch, 0, {.order = sample_order::sequential, .end = epoch_end::short_batch});
  batch_loader batches(images, order, data::evaluation_of(spec), 0, 0, order.batches_per_epoch(), loader);
  std::vector<float> out;
  while (const auto loaded = batches.next()) {
    out.resize(loaded->labels.size() * classes);
    logits(view_of(loaded->images.data(), dims_of(loaded->images.shape(), spec.order), spec.order), out.data());
    counter.add(out, loaded->labels, classes);
    if (callbacks.on_batch) callbacks.on_batch(*loaded, out);
  }
  if (callbacks.on_skipped)
    for (const auto& left_out : batches.skipped()) callbacks.on_skipped(left_out);
  return counter.result();
}

BIT_FUNC training_result fine_tune(tunable_model& model, const data::dataset_split& split,
                                   const fine_tune_options& options, const recipe& plan,
                                   const fine_tune_callbacks& callbacks) {
  model.set_training(plan.training);
  return plan.keep_features ? detail::tune_head(model, split, options, plan, callbacks)
                            : detail::tune_all(model, split, options, plan, callbacks);
}

}  // namespace bit::inline BIT_ABI::train
