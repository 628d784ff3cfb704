// SPDX-License-Identifier: Apache-2.0
// Bodies of train/optimizer_choice.hpp.
#pragma once

#include <algorithm>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/train/adam.hpp>
#include <bit/train/optimizer_choice.hpp>
#include <bit/train/recipe.hpp>
#include <bit/train/sgd.hpp>

namespace bit::inline BIT_ABI::detail {

inline double clip_norm_of(const train::fine_tune_options& options) {
  return options.adam ? options.adam->clip_norm : options.sgd.clip_norm;
}

inline const char* name_of(const train::adam_options& options) { return options.decoupled ? "adamw" : "adam"; }

BIT_FUNC std::unique_ptr<train::optimizer> make_optimizer(trainable_parameters<float>& parameters,
                                                          const train::fine_tune_options& options) {
  if (options.adam) return std::make_unique<train::adam>(parameters, *options.adam);
  return std::make_unique<train::sgd>(parameters, options.sgd);
}

BIT_FUNC void check_numbers(const train::fine_tune_options& options) {
  options.adam ? check(*options.adam) : check(options.sgd);
  const auto expect = [](bool holds, const char* what, double got) {
    if (!holds) throw config_error(std::string("[recipe] expected ") + what + ", got " + number_text(got));
  };
  expect(options.label_smoothing >= 0 && options.label_smoothing <= 1, "label smoothing in [0,1]",
         options.label_smoothing);
  expect(clip_norm_of(options) >= 0, "a clip_norm of 0 (none) or more", clip_norm_of(options));
  expect(options.save_seconds >= 0, "save_seconds of 0 (never) or more", options.save_seconds);
  expect(options.max_seconds >= 0, "a time of 0 (no limit) or more", options.max_seconds);
  if (options.patience != 0 && options.eval_every == 0)
    throw config_error("[recipe] patience counts evaluations: expected eval_every with it");
  if (options.teacher && !options.class_weights.empty())
    throw config_error("[recipe] a teacher takes the place of labels: expected no class_weights beside it");
}

BIT_FUNC std::size_t state_buffers_of(const train::fine_tune_options& options) {
  return options.adam ? options.adam->state_buffers() : options.sgd.state_buffers();
}

BIT_FUNC loss make_loss(const train::micro_batch& batch, train::training_loss kind, double smoothing) {
  if (!batch.teacher.empty()) return distillation{batch.teacher, batch.temperature};
  if (kind == train::training_loss::sigmoid)
    return sigmoid_cross_entropy{batch.labels, batch.partners, batch.weight, smoothing};
  return cross_entropy{batch.labels, batch.partners, batch.weight, smoothing};
}

BIT_FUNC void add_optimizer_departures(std::vector<std::string>& said, const train::fine_tune_options& options) {
  if (options.adam) {
    said.push_back(std::string(name_of(*options.adam)) + " with betas " + number_text(options.adam->beta1) + " and " +
                   number_text(options.adam->beta2) + " instead of sgd, which the rule's rates are meant for");
  } else {
    if (options.sgd.momentum != train::hyper_rule_momentum)
      said.push_back("momentum " + number_text(options.sgd.momentum) + " instead of 0.9");
    if (options.sgd.nesterov) said.push_back("Nesterov momentum");
  }
  const auto& rules = rules_of(options);
  if (rules.weight_decay != 0)
    said.push_back("weight decay " + number_text(rules.weight_decay) + "; the rule has none");
  if (const double clip = clip_norm_of(options); clip > 0)
    said.push_back("gradients clipped to norm " + number_text(clip));
  if (options.loss == train::training_loss::sigmoid)
    said.push_back("sigmoid cross-entropy instead of softmax; evaluations still tell softmax's");
  if (options.teacher)
    said.push_back("distilled from a teacher at temperature " + number_text(options.temperature) +
                   ": labels count for evaluations alone");
  if (!options.class_weights.empty()) {
    std::string weights;
    for (std::size_t i = 0; i < std::min<std::size_t>(options.class_weights.size(), 10); ++i)
      weights += (i == 0 ? "" : ", ") + number_text(options.class_weights[i], std::chars_format::general, 4);
    said.push_back("the loss weighs the classes by " + weights + (options.class_weights.size() > 10 ? ", ..." : ""));
  }
  if (options.sampling == train::sample_order::balanced)
    said.push_back("each class is drawn equally often, whatever its size");
  if (options.keep_head) said.push_back("the head goes on from the checkpoint's, whose classes are these");
  if (options.best_by != train::best_metric::top1)
    said.push_back(std::string("the best checkpoint is chosen by ") + to_string(options.best_by));
  if (options.patience != 0)
    said.push_back("ends after " + std::to_string(options.patience) +
                   (options.patience == 1 ? " evaluation" : " evaluations") + " without a new best");
  if (options.max_seconds > 0)
    said.push_back("ends after " + duration_text(options.max_seconds) + " at the latest; the same again goes on");
  if (options.label_smoothing > 0) said.push_back("label smoothing " + number_text(options.label_smoothing));
  if (!rules.train.empty() || !rules.freeze.empty()) said.push_back("not all layers learn");
  if (rules.layer_decay != 1)
    said.push_back("each layer learns at " + number_text(rules.layer_decay) + " times the rate of the one above");
  for (const auto& group : rules.groups)
    said.push_back(group.pattern + " learns at " + number_text(group.rate_scale) + " times the rate" +
                   (group.weight_decay ? ", with weight decay " + number_text(*group.weight_decay) : ""));
}

BIT_FUNC void add_optimizer_flags(std::map<std::string, std::string>& flags, const train::fine_tune_options& options) {
  if (options.adam) {
    flags["optimiser"] = name_of(*options.adam);
    flags["betas"] = number_text(options.adam->beta1) + "," + number_text(options.adam->beta2);
    flags["eps"] = number_text(options.adam->eps);
  } else {
    flags["momentum"] = number_text(options.sgd.momentum);
    flags["nesterov"] = options.sgd.nesterov ? "yes" : "no";
  }
  flags["clip_norm"] = number_text(clip_norm_of(options));
  flags["label_smoothing"] = number_text(options.label_smoothing);
  if (options.loss == train::training_loss::sigmoid) flags["loss"] = "sigmoid";
  if (options.teacher) {
    flags["loss"] = "distillation";
    flags["temperature"] = number_text(options.temperature);
  }
  for (const double w : options.class_weights) flags["class_weights"] += number_text(w) + " ";
  if (options.sampling == train::sample_order::balanced) flags["sampling"] = "balanced";
  if (options.best_by != train::best_metric::top1) flags["best_by"] = to_string(options.best_by);
  if (options.keep_head) flags["head"] = "kept";
  const auto& rules = rules_of(options);
  flags["weight_decay"] = number_text(rules.weight_decay);
  if (!rules.decay_vectors) flags["decay_vectors"] = "no";
  flags["layer_decay"] = number_text(rules.layer_decay);
  for (const auto& pattern : rules.train) flags["train"] += pattern + " ";
  for (const auto& pattern : rules.freeze) flags["freeze"] += pattern + " ";
  for (const auto& g : rules.groups)
    flags["groups"] +=
        g.pattern + " " + number_text(g.rate_scale) + " " + (g.weight_decay ? number_text(*g.weight_decay) : "-") + " ";
}

}  // namespace bit::inline BIT_ABI::detail
