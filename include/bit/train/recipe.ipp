// Bodies of train/recipe.hpp.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <bit/detail/crc32.hpp>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/train/checkpoint.hpp>
#include <bit/train/recipe.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <span>

namespace bit::inline v0::detail {

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

inline std::string size_text(std::uint64_t bytes) {
  const double gib = static_cast<double>(bytes) / (1024.0 * 1024 * 1024);
  return gib < 1 ? number_text(gib * 1024, std::chars_format::fixed, 0) + " MiB"
                 : number_text(gib, std::chars_format::fixed, 1) + " GiB";
}

/// Values, gradients and momentum, and each kernel packed for the way there and the way back: as it is, and where a
/// 3x3 kernel becomes Winograd's 4x4 form, 36 numbers for 9.
inline std::uint64_t parameter_bytes(std::span<const trainable_parameter<float>> parameters) {
  std::uint64_t bytes = 0;
  for (const auto& p : parameters) {
    const bool kernel = p.shape.size() == 4, square = kernel && p.shape[0] == 3;
    bytes += p.value.size() * (3 * sizeof(float)) + p.value.size() * (square ? 32 : kernel ? 8 : 4);
  }
  return bytes;
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
  if (options.sgd.momentum != train::hyper_rule_momentum)
    said.push_back("momentum " + number_text(options.sgd.momentum) + " instead of 0.9");
  if (options.sgd.nesterov) said.push_back("Nesterov momentum");
  if (options.sgd.parameters.weight_decay != 0)
    said.push_back("weight decay " + number_text(options.sgd.parameters.weight_decay) + "; the rule has none");
  if (options.sgd.clip_norm > 0) said.push_back("gradients clipped to norm " + number_text(options.sgd.clip_norm));
  if (options.label_smoothing > 0) said.push_back("label smoothing " + number_text(options.label_smoothing));
  if (!options.sgd.parameters.train.empty() || !options.sgd.parameters.freeze.empty())
    said.push_back("not all layers learn");
  if (plan.habits == train::compatibility::none) return said;
  said.push_back(std::string("habits of bit_") + to_string(plan.habits) + " are followed");
  if (plan.steps != plan.rule.steps())
    said.push_back("only " + count(plan.steps) + " steps are run, a multiple of eval_every, as bit_tf2 does");
  if (plan.partner == train::mixup_partner::reversed && plan.rule.mixup_alpha > 0 && plan.batch_split > 1)
    said.push_back("mixup partners are found within each of the " + count(plan.batch_split) +
                   " parts; bit_jax and bit_tf2 reverse the whole batch");
  return said;
}

inline train::memory_estimate estimate(const train::recipe& plan, const train::fine_tune_options& options,
                                       train::tunable_model& model, std::size_t split) {
  const std::size_t part = (plan.batch + split - 1) / split, crop = plan.rule.resolution.crop;
  const std::uint64_t image = std::uint64_t{3} * crop * crop * sizeof(float);
  train::memory_estimate memory;
  memory.parameters = parameter_bytes(model.parameters());
  const training_memory step = model.memory({part, 3, crop, crop}, options.threads);
  memory.workspace = step.arena + step.scratch;
  memory.images =
      std::min<std::uint64_t>(image * plan.batch * options.loader.prefetch, options.loader.max_ahead_bytes) +
      image * part;
  return memory;
}

/// As few parts as fit the limit.
inline void choose_split(train::recipe& plan, const train::fine_tune_options& options, train::tunable_model& model) {
  std::optional<std::size_t> given = options.batch_split;
  const auto last = options.folder / "last.safetensors";
  if (!given && !options.folder.empty() && std::filesystem::exists(last)) {
    const auto flags = train::read_training_state(last).flags;
    if (const auto found = flags.find("batch_split"); found != flags.end())
      given = static_cast<std::size_t>(std::strtoull(found->second.c_str(), nullptr, 10));
  }
  if (given) {
    plan.batch_split = *given;
    if (*given == 0 || *given > plan.batch)
      throw config_error("[recipe] expected a batch_split in 1.." + std::to_string(plan.batch) + ", got " +
                         std::to_string(*given));
    plan.memory = estimate(plan, options, model, *given);
    if (plan.memory.total() > plan.memory_limit)
      plan.departures.push_back("about " + size_text(plan.memory.total()) + " are needed, more than the limit of " +
                                size_text(plan.memory_limit) + "; a larger batch_split needs less");
    return;
  }
  for (std::size_t split = 1;; split = std::min(2 * split, plan.batch)) {
    plan.batch_split = split;
    plan.memory = estimate(plan, options, model, split);
    if (plan.memory.total() <= plan.memory_limit) return;
    if (split == plan.batch) break;
  }
  throw config_error("[recipe] one image at a time needs about " + size_text(plan.memory.total()) + ", the limit is " +
                     size_text(plan.memory_limit) + "; allow more memory, or take a smaller network or resolution");
}

}  // namespace bit::inline v0::detail

namespace bit::inline v0::train {

BIT_FUNC const char* to_string(compatibility habits) {
  constexpr const char* names[] = {"none", "pytorch", "jax", "tf2"};
  return names[static_cast<std::size_t>(habits)];
}

BIT_FUNC std::uint64_t usable_memory() {
  std::uint64_t bytes =
      static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::uint64_t limit = 0;
    if (std::ifstream(path) >> limit && limit != 0) bytes = std::min(bytes, limit);
  }
  return bytes;
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
  if (options.batch == 0 || options.eval_batch == 0)
    throw config_error("[recipe] expected batches of at least 1 image, got 0");
  const bool tensorflow = options.habits == compatibility::jax || options.habits == compatibility::tf2;
  plan.batch = options.batch;
  plan.habits = options.habits;
  plan.seed = options.seed;
  plan.steps = plan.rule.steps();
  if (options.habits == compatibility::tf2 && options.eval_every != 0) plan.steps -= plan.steps % options.eval_every;
  plan.end = tensorflow ? epoch_end::carry_over : epoch_end::short_batch;
  plan.partner = tensorflow ? mixup_partner::reversed : mixup_partner::permuted;
  plan.augmentation = {.resize = plan.rule.resolution.resize, .crop = plan.rule.resolution.crop};
  plan.augmentation.flip = options.flip.value_or(tensorflow ? data::flip_mode::always : data::flip_mode::random);
  plan.augmentation.method = options.resampling.value_or(tensorflow ? data::resampling::tf : data::resampling::pillow);
  plan.architecture = architecture_name(model.config());
  plan.memory_limit = options.memory_limit != 0 ? options.memory_limit : usable_memory() / 5 * 3;
  detail::choose_split(plan, options, model);
  if (plan.habits == compatibility::pytorch) plan.batch -= plan.batch % plan.batch_split;  // batch // batch_split each
  const auto said = detail::departures_of(plan, options);
  plan.departures.insert(plan.departures.begin(), said.begin(), said.end());
  return plan;
}

BIT_FUNC std::string to_string(const recipe& plan) {
  constexpr const char* flips[] = {"random", "always", "never"};
  std::string text = to_string(plan.rule);
  text += "\n  network     " + plan.architecture + ", " + std::to_string(plan.classes) + " classes, head of zeros";
  text += "\n  batch       " + std::to_string(plan.batch);
  if (plan.batch_split > 1) text += " in " + std::to_string(plan.batch_split) + " parts";
  if (plan.batch > plan.examples) text += ", more than the set has";
  text += std::string("\n  flips       ") + flips[static_cast<std::size_t>(plan.augmentation.flip)];
  text += "\n  seed        " + std::to_string(plan.seed);
  text += "\n  memory      about " + detail::size_text(plan.memory.total()) + " of " +
          detail::size_text(plan.memory_limit) + " (parameters " + detail::size_text(plan.memory.parameters) +
          ", maps " + detail::size_text(plan.memory.workspace) + ", images " + detail::size_text(plan.memory.images) +
          ")";
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
  flags["crop"] = count(plan.rule.resolution.crop);
  flags["flip"] = count(static_cast<std::size_t>(plan.augmentation.flip));
  flags["resampling"] = count(static_cast<std::size_t>(plan.augmentation.method));
  flags["compat"] = to_string(plan.habits);
  flags["momentum"] = detail::number_text(options.sgd.momentum);
  flags["nesterov"] = options.sgd.nesterov ? "yes" : "no";
  flags["clip_norm"] = detail::number_text(options.sgd.clip_norm);
  flags["label_smoothing"] = detail::number_text(options.label_smoothing);
  const auto& rules = options.sgd.parameters;
  flags["weight_decay"] = detail::number_text(rules.weight_decay);
  flags["layer_decay"] = detail::number_text(rules.layer_decay);
  for (const auto& pattern : rules.train) flags["train"] += pattern + " ";
  for (const auto& pattern : rules.freeze) flags["freeze"] += pattern + " ";
  for (const auto& g : rules.groups)
    flags["groups"] += g.pattern + " " + detail::number_text(g.rate_scale) + " " +
                       (g.weight_decay ? detail::number_text(*g.weight_decay) : "-") + " ";
  return flags;
}

}  // namespace bit::inline v0::train
