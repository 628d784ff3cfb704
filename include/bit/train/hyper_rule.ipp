// SPDX-License-Identifier: Apache-2.0
// Bodies of train/hyper_rule.hpp.
#pragma once

#include <array>
#include <utility>

#include <bit/detail/finite.hpp>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/train/hyper_rule.hpp>

namespace bit::inline BIT_ABI::detail {

// bit_hyperrule.py: get_resolution, get_mixup, get_schedule.
inline constexpr std::size_t small_area = 96 * 96;
inline constexpr std::size_t small_set = 20'000, medium_set = 500'000;

/// Six digits, enough for a rate.
inline std::string rate_text(double x) { return number_text(x, std::chars_format::general, 6); }

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::train {

BIT_FUNC std::optional<double> hyper_rule::lr(std::size_t step) const {
  if (step >= steps()) return std::nullopt;
  if (step < schedule.front()) return base_lr * static_cast<double>(step) / static_cast<double>(schedule.front());
  double rate = base_lr;
  for (std::size_t i = 1; i < schedule.size(); ++i)
    if (schedule[i] < step) rate /= 10;
  return rate;
}

BIT_FUNC void validate(const hyper_rule& rule) {
  if (rule.num_examples == 0) throw config_error("[hyper_rule] expected at least 1 training example, got 0");
  if (rule.images.height == 0 || rule.images.width == 0)
    throw config_error("[hyper_rule] expected images of at least 1 x 1, got " + std::to_string(rule.images.height) +
                       " x " + std::to_string(rule.images.width));
  if (!detail::is_non_negative(rule.base_lr) || rule.base_lr == 0)
    throw config_error("[hyper_rule] expected a positive base_lr, got " + detail::rate_text(rule.base_lr));
  if (!detail::is_non_negative(rule.mixup_alpha))
    throw config_error("[hyper_rule] expected mixup_alpha of at least 0, got " + detail::rate_text(rule.mixup_alpha));
  if (rule.resolution.crop == 0 || rule.resolution.crop > rule.resolution.resize)
    throw config_error("[hyper_rule] expected 1 <= crop <= resize, got crop " + std::to_string(rule.resolution.crop) +
                       " and resize " + std::to_string(rule.resolution.resize));
  std::size_t last = 0;
  for (const std::size_t step : rule.schedule)
    if (step <= std::exchange(last, step))
      throw config_error("[hyper_rule] expected a schedule of rising steps, got " + std::to_string(step) +
                         " after a step that is not smaller, or 0");
  if (last == 0) throw config_error("[hyper_rule] expected a schedule of at least one step, got none");
}

BIT_FUNC hyper_rule make_hyper_rule(std::size_t num_examples, image_size images, double base_lr) {
  hyper_rule rule{
      .num_examples = num_examples, .images = images, .resolution = {512, 480}, .schedule = {}, .base_lr = base_lr};
  // As a quotient: the area of an absurd size would overflow.
  if (images.width != 0 && images.height <= (detail::small_area - 1) / images.width) rule.resolution = {160, 128};
  if (num_examples >= detail::small_set) rule.mixup_alpha = 0.1;
  if (num_examples < detail::small_set)
    rule.schedule = {100, 200, 300, 400, 500};
  else if (num_examples < detail::medium_set)
    rule.schedule = {500, 3000, 6000, 9000, 10'000};
  else
    rule.schedule = {500, 6000, 12'000, 18'000, 20'000};
  validate(rule);
  return rule;
}

BIT_FUNC std::optional<image_size> known_image_size(std::string_view data_set) {
  constexpr std::array<std::pair<std::string_view, std::size_t>, 5> known{
      {{"cifar10", 32}, {"cifar100", 32}, {"oxford_iiit_pet", 224}, {"oxford_flowers102", 224}, {"imagenet2012", 224}}};
  for (const auto& [name, side] : known)
    if (name == data_set) return image_size{side, side};
  return std::nullopt;
}

BIT_FUNC std::string to_string(const hyper_rule& rule) {
  const auto count = [](std::size_t n) { return std::to_string(n); };
  std::string text = "BiT-HyperRule for " + count(rule.num_examples) + " images of " + count(rule.images.height) +
                     " x " + count(rule.images.width) + "\n  resolution  resize to " + count(rule.resolution.resize) +
                     ", crop " + count(rule.resolution.crop) + "\n  mixup       " +
                     (rule.mixup_alpha > 0 ? "alpha " + detail::rate_text(rule.mixup_alpha) : "none") +
                     "\n  steps       " + count(rule.steps()) + "\n  rate        0 to " +
                     detail::rate_text(rule.base_lr);
  if (!rule.schedule.empty()) text += " until step " + count(rule.schedule.front());
  double rate = rule.base_lr;
  for (std::size_t i = 1; i + 1 < rule.schedule.size(); ++i)
    text += ", " + detail::rate_text(rate /= 10) + " after " + count(rule.schedule[i]);
  return text;
}

}  // namespace bit::inline BIT_ABI::train
