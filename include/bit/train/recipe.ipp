// SPDX-License-Identifier: Apache-2.0
// Bodies of train/recipe.hpp.
#pragma once

#include <algorithm>
#include <bit/detail/crc32.hpp>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/train/checkpoint.hpp>
#include <bit/train/class_weights.hpp>
#include <bit/train/optimizer_choice.hpp>
#include <bit/train/parameter_rules.hpp>
#include <bit/train/recipe.hpp>
#include <cmath>
#include <cstdlib>
#include <span>

namespace bit::inline BIT_ABI::detail {

/// The rule's schedule shortened or stretched to `steps`, in the same proportions as far as whole steps allow.
inline std::vector<std::size_t> scaled_schedule(const std::vector<std::size_t>& schedule, std::size_t steps) {
  std::vector<std::size_t> scaled;
  for (const std::size_t s : schedule) {
    const auto at = static_cast<std::size_t>(
        std::ceil(static_cast<double>(s) * static_cast<double>(steps) / static_cast<double>(schedule.back())));
    if (scaled.empty() || at > scaled.back()) scaled.push_back(at);
  }
  return scaled;
}

inline std::string joined(const std::vector<std::size_t>& numbers) {
  std::string text;
  for (const std::size_t n : numbers) text += (text.empty() ? "" : ",") + std::to_string(n);
  return text;
}

/// The rule with what the caller changed of it.
inline train::hyper_rule resolve_rule(const train::fine_tune_options& options, const data::dataset& images) {
  train::image_size size;
  if (options.images) {
    size = *options.images;
  } else {
    const auto found = data::typical_image_size(images);
    size = {found[0], found[1]};
  }
  auto rule = train::make_hyper_rule(options.examples ? options.examples : images.size(), size, options.base_lr);
  if (!options.schedule.empty() && options.steps != 0)
    throw config_error("[recipe] expected a schedule or a number of steps, got both");
  if (!options.schedule.empty()) rule.schedule = options.schedule;
  if (options.steps != 0) rule.schedule = scaled_schedule(rule.schedule, options.steps);
  if (options.resolution) rule.resolution = *options.resolution;
  if (options.mixup_alpha) rule.mixup_alpha = *options.mixup_alpha;
  validate(rule);
  return rule;
}

/// Sentences on what is not BiT-HyperRule's.
inline std::vector<std::string> departures_of(const train::recipe& plan, const train::fine_tune_options& options) {
  const auto own = train::make_hyper_rule(plan.rule.num_examples, plan.rule.images);
  const auto count = [](std::size_t n) { return std::to_string(n); };
  std::vector<std::string> said;
  if (plan.rule.base_lr != own.base_lr)
    said.push_back("base_lr " + number_text(plan.rule.base_lr) + " instead of " + number_text(own.base_lr));
  if (plan.batch != train::hyper_rule_batch)
    said.push_back("batch " + count(plan.batch) + " instead of " + count(train::hyper_rule_batch) +
                   "; rate and steps are not scaled with it");
  if (plan.rule.schedule != own.schedule)
    said.push_back("schedule " + joined(plan.rule.schedule) + " instead of " + joined(own.schedule));
  if (plan.rule.resolution != own.resolution)
    said.push_back("resize " + count(plan.rule.resolution.resize) + ", crop " + count(plan.rule.resolution.crop) +
                   " instead of " + count(own.resolution.resize) + ", " + count(own.resolution.crop));
  if (plan.rule.mixup_alpha != own.mixup_alpha)
    said.push_back("mixup alpha " + number_text(plan.rule.mixup_alpha) + " instead of " + number_text(own.mixup_alpha));
  if (plan.rule.num_examples != plan.examples)
    said.push_back("the rule was told " + count(plan.rule.num_examples) + " examples; the set has " +
                   count(plan.examples));
  add_optimizer_departures(said, options);
  if (plan.compat == train::compat_mode::none) return said;
  said.push_back(std::string("bit_") + to_string(plan.compat) + " is followed where the three programs differ");
  if (plan.steps != plan.rule.steps())
    said.push_back("only " + count(plan.steps) + " steps are run, a multiple of eval_every, as bit_tf2 does");
  if (plan.partner == train::mixup_partner::reversed && plan.rule.mixup_alpha > 0 && plan.batch_split > 1)
    said.push_back("mixup partners are found within each of the " + count(plan.batch_split) +
                   " parts; bit_jax and bit_tf2 reverse the whole batch");
  return said;
}

/// Of the whole run: a step in parts of `part` images, evaluations in between, and what the loader holds ready.
inline train::memory_estimate estimate(const train::recipe& plan, const train::fine_tune_options& options,
                                       const train::tunable_model& model, std::size_t part, recomputation how) {
  const std::size_t crop = plan.rule.resolution.crop;
  const std::uint64_t image = std::uint64_t{3} * crop * crop * sizeof(float);
  // Where features are kept, the trunk runs for evaluated images alone.
  const auto step = model.memory_of({plan.keep_features ? 1 : part, 3, crop, crop}, {how, plan.training.frozen},
                                    options.threads, {options.eval_batch, 3, crop, crop});
  train::memory_estimate memory;
  if (plan.keep_features) memory.images = plan.examples * model.config().num_features() * sizeof(float);
  memory.parameters = step.values + (1 + state_buffers_of(options)) * step.gradients;
  memory.packed = step.packed;
  memory.workspace = step.arena + step.scratch;
  const auto ahead = [&](std::size_t batch) {
    return std::min<std::uint64_t>(image * batch * options.loader.prefetch, options.loader.max_ahead_bytes);
  };
  // What is ready for the next step stays while an evaluation runs.
  memory.images += ahead(plan.batch) + std::max(image * part, ahead(options.eval_batch) + image * options.eval_batch);
  return memory;
}

/// Whether the trunk's features can be computed once, and what must then be left out.
inline void decide_features(train::recipe& plan, const train::fine_tune_options& options,
                            const train::tunable_model& model) {
  const auto& frozen = plan.training.frozen;
  const auto specs = tensor_specs(model.config());
  const bool head_alone = std::all_of(specs.begin(), specs.end(), [&](const auto& p) {
    return p.name.starts_with("resnet/head/") || frozen.contains(p.name);
  });
  const bool steady = plan.augmentation.flip == data::flip_mode::never &&
                      plan.augmentation.resize == plan.augmentation.crop && plan.rule.mixup_alpha == 0;
  plan.keep_features = options.keep_features.value_or(head_alone && steady && !options.teacher);
  if (!plan.keep_features) return;
  if (!head_alone)
    throw config_error("[recipe] features can be kept only if nothing but the head learns: train \"resnet/head/*\"");
  if (options.mixup_alpha.value_or(0) > 0)
    throw config_error("[recipe] expected a mixup_alpha of 0 where features are kept, got " +
                       number_text(*options.mixup_alpha) + ": mixup mixes images");
  plan.rule.mixup_alpha = 0;
  if (!steady)
    plan.departures.emplace_back(
        "features are computed once, of images as they are evaluated: no random crops and flips, no mixup");
}

/// Parts of a step and recomputation. A run that is continued keeps its parts, which round differently.
inline void fit_memory(train::recipe& plan, const train::fine_tune_options& options,
                       const train::tunable_model& model) {
  train::step_constraints constraints{plan.batch, options.batch_split, options.recompute, plan.memory_limit};
  const auto last = options.folder / "last.safetensors";
  if (!constraints.batch_split && !options.folder.empty() && std::filesystem::exists(last)) {
    const auto flags = train::read_training_state(last).flags;
    if (const auto found = flags.find("batch_split"); found != flags.end())
      constraints.batch_split = static_cast<std::size_t>(std::strtoull(found->second.c_str(), nullptr, 10));
  }
  const auto way = train::fit_step(
      constraints, [&](std::size_t part, recomputation how) { return estimate(plan, options, model, part, how); });
  plan.batch_split = way.batch_split;
  plan.training.recompute = way.recompute;
  plan.memory = way.memory;
  if (way.recompute == recomputation::units && !options.recompute)
    plan.departures.emplace_back(
        "units are recomputed in the backward pass to save memory, which takes about 20 % more time");
  if (way.memory.total() > plan.memory_limit)
    plan.departures.push_back("about " + train::size_text(way.memory.total()) + " are needed, more than the limit of " +
                              train::size_text(plan.memory_limit) + "; a larger batch_split needs less");
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC const char* to_string(compat_mode compat) {
  constexpr const char* names[] = {"none", "pytorch", "jax", "tf2"};
  return names[static_cast<std::size_t>(compat)];
}

BIT_FUNC recipe resolve(const fine_tune_options& options, const data::dataset& train, tunable_model& model) {
  data::check_trainable(train, "the training set");
  recipe plan;
  plan.rule = detail::resolve_rule(options, train);
  plan.examples = train.size();
  plan.classes = train.class_names().size();
  if (model.config().in_channels != 3 || model.config().num_classes != plan.classes)
    throw config_error("[recipe] expected a network of 3 channels and " + std::to_string(plan.classes) +
                       " classes, got " + std::to_string(model.config().in_channels) + " channels and " +
                       std::to_string(model.config().num_classes) + " classes");
  if (options.teacher &&
      (options.loss != training_loss::softmax || options.label_smoothing != 0 || options.keep_features.value_or(false)))
    throw config_error(
        "[recipe] a teacher takes the place of labels: expected no sigmoid loss, label smoothing or kept features "
        "beside "
        "it");
  if (options.batch == 0 || options.eval_batch == 0)
    throw config_error("[recipe] expected batches of at least 1 image, got 0");
  detail::check_numbers(options);
  if (!options.class_weights.empty()) check_class_weights(options.class_weights, plan.classes);
  if (options.sampling == sample_order::sequential)
    throw config_error("[recipe] expected a sampling that is shuffled or balanced");
  const bool tensorflow = options.compat == compat_mode::jax || options.compat == compat_mode::tf2;
  plan.batch = options.batch;
  plan.compat = options.compat;
  plan.seed = options.seed;
  plan.steps = plan.rule.steps();
  if (options.compat == compat_mode::tf2 && options.eval_every != 0) plan.steps -= plan.steps % options.eval_every;
  plan.end = tensorflow ? epoch_end::carry_over : epoch_end::short_batch;
  plan.partner = tensorflow ? mixup_partner::reversed : mixup_partner::permuted;
  plan.sampling = options.sampling;
  plan.best_by = options.best_by;
  plan.head_is_kept = options.keep_head;
  plan.augmentation = {.resize = plan.rule.resolution.resize, .crop = plan.rule.resolution.crop};
  plan.augmentation.flip = options.flip.value_or(tensorflow ? data::flip_mode::always : data::flip_mode::random);
  plan.augmentation.method = options.resampling.value_or(tensorflow ? data::resampling::tf : data::resampling::pillow);
  plan.dtype = model.dtype();
  plan.architecture = architecture_name(model.config());
  plan.memory_limit = options.memory_limit != 0 ? options.memory_limit : usable_memory();
  plan.training.frozen = frozen_names(tensor_specs(model.config()), rules_of(options));
  detail::decide_features(plan, options, model);
  detail::fit_memory(plan, options, model);
  if (plan.compat == compat_mode::pytorch) plan.batch -= plan.batch % plan.batch_split;  // batch // batch_split each
  const auto said = detail::departures_of(plan, options);
  plan.departures.insert(plan.departures.begin(), said.begin(), said.end());
  return plan;
}

BIT_FUNC std::string to_string(const recipe& plan) {
  constexpr const char* flips[] = {"random", "always", "never"};
  std::string text = to_string(plan.rule);
  text += "\n  network     " + plan.architecture + ", " + std::to_string(plan.classes) + " classes, head ";
  text += plan.head_is_kept ? "kept" : "of zeros";
  text += std::string(", ") + to_string(plan.dtype);
  text += "\n  batch       " + std::to_string(plan.batch);
  if (plan.batch_split > 1) text += " in " + std::to_string(plan.batch_split) + " parts";
  if (plan.training.recompute == recomputation::units) text += ", units recomputed";
  if (plan.keep_features) text += ", features computed once";
  if (plan.batch > plan.examples) text += ", more than the set has";
  text += std::string("\n  flips       ") + flips[static_cast<std::size_t>(plan.augmentation.flip)];
  text += "\n  seed        " + std::to_string(plan.seed);
  text += "\n  memory      about " + size_text(plan.memory.total()) + " of " + size_text(plan.memory_limit) +
          " (parameters " + size_text(plan.memory.parameters) + ", packed kernels " + size_text(plan.memory.packed) +
          ", maps " + size_text(plan.memory.workspace) + ", images " + size_text(plan.memory.images) + ")";
  if (plan.time)
    text += "\n  time        about " + detail::duration_text(plan.time->total) + ", " +
            detail::duration_text(plan.time->step) + " a step: an estimate, the second step tells better";
  for (const auto& sentence : plan.departures) text += "\n  note        " + sentence;
  return text;
}

BIT_FUNC std::map<std::string, std::string> flags_of(const recipe& plan, const fine_tune_options& options,
                                                     const data::dataset& train) {
  const auto labels = data::labels_of(train);
  const auto count = [](std::size_t n) { return std::to_string(n); };
  auto flags = options.flags;
  flags["examples"] = count(plan.examples);
  flags["labels_crc32"] = std::to_string(detail::crc32_of(std::as_bytes(std::span(labels)), 0));
  flags["batch"] = count(plan.batch);
  flags["batch_split"] = count(plan.batch_split);
  flags["base_lr"] = detail::number_text(plan.rule.base_lr);
  flags["schedule"] = detail::joined(plan.rule.schedule);
  flags["steps"] = count(plan.steps);
  flags["mixup"] = detail::number_text(plan.rule.mixup_alpha);
  flags["resize"] = count(plan.rule.resolution.resize);
  if (plan.keep_features) flags["keep_features"] = "yes";
  flags["crop"] = count(plan.rule.resolution.crop);
  flags["dtype"] = to_string(plan.dtype);
  flags["flip"] = count(static_cast<std::size_t>(plan.augmentation.flip));
  flags["resampling"] = count(static_cast<std::size_t>(plan.augmentation.method));
  flags["compat"] = to_string(plan.compat);
  detail::add_optimizer_flags(flags, options);
  return flags;
}

}  // namespace bit::inline BIT_ABI::train
