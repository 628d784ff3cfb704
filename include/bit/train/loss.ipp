// Bodies of train/loss.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <bit/error.hpp>
#include <bit/train/loss.hpp>

namespace bit::inline v0::detail {

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

/// log Σ exp(x/t), without overflow. NaN if a value is NaN or the largest is infinite.
template <class T>
double log_sum_exp(std::span<const T> x, double t = 1) {
  const double largest = static_cast<double>(*std::max_element(x.begin(), x.end())) / t;
  double sum = 0;
  for (const T v : x) sum += std::exp(static_cast<double>(v) / t - largest);
  return largest + std::log(sum);
}

}  // namespace bit::inline v0::detail

namespace bit::inline v0::train {

template <class T>
cross_entropy<T>::cross_entropy(std::span<const std::int64_t> labels, double smoothing)
    : cross_entropy(labels, {}, 1, smoothing) {}

template <class T>
cross_entropy<T>::cross_entropy(std::span<const std::int64_t> labels, std::span<const std::int64_t> partners,
                                double weight, double smoothing)
    : labels_(labels), partners_(partners), weight_(weight), smoothing_(smoothing) {
  if (!(smoothing >= 0 && smoothing <= 1) || !(weight >= 0 && weight <= 1))
    throw config_error("[cross_entropy] expected smoothing and the mixed labels' weight in [0,1], got " +
                       std::to_string(smoothing) + " and " + std::to_string(weight));
}

template <class T>
cross_entropy<T> cross_entropy<T>::of_probabilities(std::span<const double> probabilities, double smoothing) {
  cross_entropy loss({}, smoothing);
  loss.probabilities_ = probabilities;
  return loss;
}

template <class T>
void cross_entropy<T>::check(std::size_t n, std::size_t classes) const {
  if (!probabilities_.empty()) return;
  if (labels_.size() != n || (!partners_.empty() && partners_.size() != n))
    throw shape_error("[cross_entropy] expected one label per example (" + std::to_string(n) + "), got " +
                      std::to_string(labels_.size()) +
                      (partners_.empty() ? "" : " and " + std::to_string(partners_.size()) + " partners"));
  for (const auto labels : {labels_, partners_})
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] < 0 || static_cast<std::uint64_t>(labels[i]) >= classes)
        throw shape_error("[cross_entropy] label " + std::to_string(labels[i]) + " of example " + std::to_string(i) +
                          " is outside 0.." + std::to_string(classes - 1) + ": the model has " +
                          std::to_string(classes) + " classes; correct the label or give the model another head");
}

/// What the softmax of a row should be, smoothing included.
template <class T>
void cross_entropy<T>::write_target(std::size_t row, std::size_t classes, std::span<double> target) const {
  const double keep = 1 - smoothing_, floor = smoothing_ / static_cast<double>(classes);
  std::fill(target.begin(), target.end(), floor);
  if (probabilities_.empty()) {
    target[static_cast<std::size_t>(labels_[row])] += keep * (partners_.empty() ? 1 : weight_);
    if (!partners_.empty()) target[static_cast<std::size_t>(partners_[row])] += keep * (1 - weight_);
    return;
  }
  double sum = 0;
  bool negative = false;
  for (std::size_t k = 0; k < classes; ++k) {
    const double p = probabilities_[row * classes + k];
    target[k] += keep * p;
    sum += p;
    negative |= p < 0;
  }
  if (negative || !(std::abs(sum - 1) <= 1e-2))
    throw shape_error("[cross_entropy] expected probabilities that sum to 1, those of example " + std::to_string(row) +
                      (negative ? " are partly negative" : " sum to " + std::to_string(sum)) +
                      "; several labels per image want sigmoid_cross_entropy");
}

template <class T>
double cross_entropy<T>::operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                                    std::size_t classes) const {
  detail::check_loss_sizes("cross_entropy", logits.size(), gradient.size(),
                           probabilities_.empty() ? logits.size() : probabilities_.size(), n, classes);
  check(n, classes);
  std::vector<double> target(classes);
  double loss = 0;
  for (std::size_t row = 0; row < n; ++row) {
    const auto x = logits.subspan(row * classes, classes);
    write_target(row, classes, target);
    const double normaliser = detail::log_sum_exp(x);
    double total = 0;
    for (const double t : target) total += t;
    for (std::size_t k = 0; k < classes; ++k) {
      const double log_p = static_cast<double>(x[k]) - normaliser;
      if (target[k] != 0) loss -= target[k] * log_p;  // 0·(-inf) would be NaN
      gradient[row * classes + k] = static_cast<T>((total * std::exp(log_p) - target[k]) / static_cast<double>(n));
    }
  }
  return loss / static_cast<double>(n);
}

template <class T>
double sigmoid_cross_entropy<T>::operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                                            std::size_t classes) const {
  detail::check_loss_sizes("sigmoid_cross_entropy", logits.size(), gradient.size(), targets_.size(), n, classes);
  double loss = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double x = static_cast<double>(logits[i]), t = static_cast<double>(targets_[i]);
    if (!(t >= 0 && t <= 1))
      throw shape_error("[sigmoid_cross_entropy] expected targets in [0,1], got " + std::to_string(t) +
                        " for example " + std::to_string(i / classes) + ", class " + std::to_string(i % classes));
    const double small = std::exp(-std::abs(x));  // never overflows; sigmoid(x) = 1/(1+small) or small/(1+small)
    loss += std::max(x, 0.0) - x * t + std::log1p(small);
    gradient[i] = static_cast<T>(((x >= 0 ? 1 : small) / (1 + small) - t) / static_cast<double>(n));
  }
  // max(NaN, 0) is 0: a NaN among the logits still arrives, by x·t
  return loss / static_cast<double>(n);
}

template <class T>
distillation<T>::distillation(std::span<const T> teacher, double temperature)
    : teacher_(teacher), temperature_(temperature) {
  if (!(temperature > 0) || std::isinf(temperature))
    throw config_error("[distillation] expected a positive temperature, got " + std::to_string(temperature));
}

template <class T>
double distillation<T>::operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                                   std::size_t classes) const {
  detail::check_loss_sizes("distillation", logits.size(), gradient.size(), teacher_.size(), n, classes);
  const double t = temperature_;
  double loss = 0;
  for (std::size_t row = 0; row < n; ++row) {
    const auto x = logits.subspan(row * classes, classes);
    const auto wanted = teacher_.subspan(row * classes, classes);
    const double normaliser = detail::log_sum_exp(x, t), teacher_normaliser = detail::log_sum_exp(wanted, t);
    for (std::size_t k = 0; k < classes; ++k) {
      const double log_p = static_cast<double>(wanted[k]) / t - teacher_normaliser;
      const double log_q = static_cast<double>(x[k]) / t - normaliser;
      const double p = std::exp(log_p);
      if (p != 0) loss += t * t * p * (log_p - log_q);
      gradient[row * classes + k] = static_cast<T>(t * (std::exp(log_q) - p) / static_cast<double>(n));
    }
  }
  return loss / static_cast<double>(n);
}

template <class T>
double squared_error<T>::operator()(std::span<const T> logits, std::span<T> gradient, std::size_t n,
                                    std::size_t classes) const {
  detail::check_loss_sizes("squared_error", logits.size(), gradient.size(), targets_.size(), n, classes);
  const double count = static_cast<double>(n * classes);
  double loss = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double difference = static_cast<double>(logits[i]) - static_cast<double>(targets_[i]);
    loss += difference * difference;
    gradient[i] = static_cast<T>(2 * difference / count);
  }
  return loss / count;
}

}  // namespace bit::inline v0::train
