// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/loss.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/loss.hpp>
#include <bit/detail/finite.hpp>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <cmath>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI::detail {

/// Throws shape_error unless logits, gradient and `targets` all hold n·classes values.
inline void check_loss_sizes(const char* loss, std::size_t logits, std::size_t gradient, std::size_t targets,
                             std::size_t n, std::size_t classes) {
  if (n == 0 || classes == 0)
    throw shape_error(std::string("[") + loss + "] expected at least one example and one class, got n=" +
                      std::to_string(n) + ", classes=" + std::to_string(classes));
  if (logits == n * classes && gradient == logits && targets == logits) return;
  throw shape_error(std::string("[") + loss + "] expected logits, gradient and targets of " + std::to_string(n) +
                    " x " + std::to_string(classes) + " values, got " + std::to_string(logits) + ", " +
                    std::to_string(gradient) + " and " + std::to_string(targets));
}

/// Throws config_error for a weight or smoothing outside [0,1], and shape_error for labels that do not fit.
template <class Loss>
void check_labels(const char* loss, const Loss& how, std::size_t n, std::size_t classes) {
  const std::string room = std::string("[") + loss + "] ";
  if (!is_within(how.smoothing, 0, 1))
    throw config_error(room + "expected label smoothing in [0,1], got " + number_text(how.smoothing));
  if (!is_within(how.weight, 0, 1))
    throw config_error(room + "expected a weight of mixed labels in [0,1], got " + number_text(how.weight));
  if (how.labels.size() != n || (!how.partners.empty() && how.partners.size() != n))
    throw shape_error(room + "expected one label per example (" + std::to_string(n) + "), got " +
                      std::to_string(how.labels.size()) +
                      (how.partners.empty() ? "" : " and " + std::to_string(how.partners.size()) + " partners"));
  for (const auto labels : {how.labels, how.partners})
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] < 0 || static_cast<std::uint64_t>(labels[i]) >= classes)
        throw shape_error(room + "label " + std::to_string(labels[i]) + " of example " + std::to_string(i) +
                          " is outside 0.." + std::to_string(classes - 1) + ": the model has " +
                          std::to_string(classes) + " classes; correct the label or give the model another head");
}

/// The formulas; `weight` multiplies gradients, rounded as a gradient that was written and then multiplied.
template <class T>
struct loss_evaluation {
  std::span<const T> logits;
  std::span<T> gradient;
  std::size_t n, classes;
  double weight;

  double examples() const { return static_cast<double>(n); }
  void write(std::size_t i, double value) const {
    gradient[i] = static_cast<T>(value);
    if (weight != 1) gradient[i] = static_cast<T>(static_cast<double>(gradient[i]) * weight);
  }

  /// log Σ exp(x/t) of a row, without overflow. NaN if a value is NaN or the largest is infinite.
  template <class X>
  double log_sum_exp(std::span<const X> x, double t = 1) const {
    const double largest = static_cast<double>(*std::max_element(x.begin(), x.end())) / t;
    double sum = 0;
    for (const X v : x) sum += std::exp(static_cast<double>(v) / t - largest);
    return largest + std::log(sum);
  }

  /// What the softmax of a row should be, smoothing included.
  void write_target(const cross_entropy& how, std::size_t row, std::span<double> target) const {
    const double keep = 1 - how.smoothing, floor = how.smoothing / static_cast<double>(classes);
    std::fill(target.begin(), target.end(), floor);
    if (how.probabilities.empty()) {
      target[static_cast<std::size_t>(how.labels[row])] += keep * (how.partners.empty() ? 1 : how.weight);
      if (!how.partners.empty()) target[static_cast<std::size_t>(how.partners[row])] += keep * (1 - how.weight);
      return;
    }
    double sum = 0;
    bool negative = false;
    for (std::size_t k = 0; k < classes; ++k) {
      const double p = how.probabilities[row * classes + k];
      target[k] += keep * p;
      sum += p;
      negative |= p < 0;
    }
    if (negative || !is_within(sum, 1 - 1e-2, 1 + 1e-2))
      throw shape_error("[cross_entropy] expected probabilities that sum to 1, those of example " +
                        std::to_string(row) + (negative ? " are partly negative" : " sum to " + std::to_string(sum)) +
                        "; several labels per image want sigmoid_cross_entropy");
  }

  double operator()(const cross_entropy& how) const {
    const bool soft = !how.probabilities.empty();
    check_loss_sizes("cross_entropy", logits.size(), gradient.size(), soft ? how.probabilities.size() : logits.size(),
                     n, classes);
    if (soft && !how.labels.empty()) throw config_error("[cross_entropy] expected labels or probabilities, got both");
    const std::vector<std::int64_t> unused(soft ? n : 0);  // probabilities have smoothing alone to be checked
    check_labels("cross_entropy", soft ? cross_entropy{.labels = unused, .smoothing = how.smoothing} : how, n, classes);
    std::vector<double> target(classes);
    double loss = 0;
    for (std::size_t row = 0; row < n; ++row) {
      const auto x = logits.subspan(row * classes, classes);
      write_target(how, row, target);
      const double normaliser = log_sum_exp(x);
      double total = 0;
      for (const double t : target) total += t;
      for (std::size_t k = 0; k < classes; ++k) {
        const double log_p = static_cast<double>(x[k]) - normaliser;
        if (target[k] != 0) loss -= target[k] * log_p;  // 0·(-inf) would be NaN
        write(row * classes + k, (total * std::exp(log_p) - target[k]) / examples());
      }
    }
    return loss / examples();
  }

  /// Targets of labels, mixed and smoothed as cross_entropy does it, in T: two images that are mixed give both their
  /// classes, each with its weight.
  std::vector<T> targets_of(const sigmoid_cross_entropy& how) const {
    std::vector<T> targets(n * classes, static_cast<T>(how.smoothing / static_cast<double>(classes)));
    const auto add = [&](std::span<const std::int64_t> labels, double part) {
      for (std::size_t i = 0; i < labels.size(); ++i)
        targets[i * classes + static_cast<std::size_t>(labels[i])] += static_cast<T>(part * (1 - how.smoothing));
    };
    add(how.labels, how.partners.empty() ? 1 : how.weight);
    add(how.partners, 1 - how.weight);
    return targets;
  }

  double operator()(const sigmoid_cross_entropy& how) const {
    const bool given = !how.targets.empty();
    check_loss_sizes("sigmoid_cross_entropy", logits.size(), gradient.size(),
                     given ? how.targets.size() : logits.size(), n, classes);
    if (given && !how.labels.empty())
      throw config_error("[sigmoid_cross_entropy] expected labels or targets, got both");
    std::vector<T> made;
    if (!given) {
      check_labels("sigmoid_cross_entropy", how, n, classes);
      made = targets_of(how);
    }
    double loss = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double x = static_cast<double>(logits[i]), t = given ? how.targets[i] : static_cast<double>(made[i]);
      if (!is_within(t, 0, 1))
        throw shape_error("[sigmoid_cross_entropy] expected targets in [0,1], got " + std::to_string(t) +
                          " for example " + std::to_string(i / classes) + ", class " + std::to_string(i % classes));
      const double small = std::exp(-std::abs(x));  // never overflows; sigmoid(x) = 1/(1+small) or small/(1+small)
      loss += std::max(x, 0.0) - x * t + std::log1p(small);
      write(i, ((x >= 0 ? 1 : small) / (1 + small) - t) / examples());
    }
    // max(NaN, 0) is 0: a NaN among the logits still arrives, by x·t
    return loss / examples();
  }

  double operator()(const distillation& how) const {
    const double t = how.temperature;
    if (!is_non_negative(t) || t == 0)
      throw config_error("[distillation] expected a positive temperature, got " + std::to_string(t));
    check_loss_sizes("distillation", logits.size(), gradient.size(), how.teacher.size(), n, classes);
    double loss = 0;
    for (std::size_t row = 0; row < n; ++row) {
      const auto x = logits.subspan(row * classes, classes);
      const auto wanted = how.teacher.subspan(row * classes, classes);
      const double normaliser = log_sum_exp(x, t), teacher_normaliser = log_sum_exp(wanted, t);
      for (std::size_t k = 0; k < classes; ++k) {
        const double log_p = wanted[k] / t - teacher_normaliser;
        const double log_q = static_cast<double>(x[k]) / t - normaliser;
        const double p = std::exp(log_p);
        if (p != 0) loss += t * t * p * (log_p - log_q);
        write(row * classes + k, t * (std::exp(log_q) - p) / examples());
      }
    }
    return loss / examples();
  }
};

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI {

template <class T>
double evaluate_loss(const loss& what, std::span<const T> logits, std::span<T> gradient, std::size_t n,
                     std::size_t classes, double weight) {
  return std::visit(detail::loss_evaluation<T>{logits, gradient, n, classes, weight}, what);
}

}  // namespace bit::inline BIT_ABI
