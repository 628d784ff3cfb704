// SPDX-License-Identifier: Apache-2.0
// The smallest model that can be trained, with data that are a function of the step: what the tests of the loop run on.
#pragma once

#include <bit/backend/loss.hpp>
#include <bit/backend/run.hpp>
#include <bit/model/loss_function.hpp>
#include <bit/train/batch.hpp>
#include <random>
#include <vector>

#include "parameters.hpp"

/// logits = images · weight + bias, over `features` channels of 1x1 images.
class logistic_regression {
 public:
  logistic_regression(std::size_t features, std::size_t classes) : features_(features), classes_(classes) {
    set_.add("weight", {features, classes});
    set_.add("bias", {classes});
  }

  parameter_set::type& parameters() { return set_.get(); }
  double accumulate(const bit::image_view<float>& images, const bit::loss& loss, double scale = 1,
                    std::span<float> = {}, const bit::run_options& = {}, double weight = 1) {
    return accumulate_with(images, scale, [&](const auto& out, auto& d_out, std::size_t n) {
      return bit::evaluate_loss<float>(loss, out, d_out, n, classes_, weight);
    });
  }
  double accumulate(const bit::image_view<float>& images, const bit::loss_function<float>& loss, double scale = 1,
                    std::span<float> = {}, const bit::run_options& = {}, double = 1) {
    return accumulate_with(images, scale,
                           [&](const auto& out, auto& d_out, std::size_t n) { return loss(out, d_out, n, classes_); });
  }
  void logits(const bit::image_view<float>& images, float* out, const bit::run_options& = {}) {
    const auto weight = set_.value(0), bias = set_.value(1);
    for (std::size_t i = 0; i < images.dims.n; ++i)
      for (std::size_t k = 0; k < classes_; ++k) {
        float sum = bias[k];
        for (std::size_t c = 0; c < features_; ++c) sum += images.at(i, c, 0, 0) * weight[c * classes_ + k];
        out[i * classes_ + k] = sum;
      }
  }
  std::vector<std::vector<float>> values() { return set_.values(); }
  void value(std::size_t i, const std::vector<float>& to) { set_.value(i, to); }

 private:
  template <class Evaluate>
  double accumulate_with(const bit::image_view<float>& images, double scale, const Evaluate& evaluate) {
    const std::size_t n = images.dims.n;
    std::vector<float> out(n * classes_), d_out(n * classes_);
    logits(images, out.data());
    const double value = evaluate(out, d_out, n);
    const auto& weight = set_.get()[0].gradient;
    const auto& bias = set_.get()[1].gradient;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < classes_; ++k) {
        const float d = static_cast<float>(scale) * d_out[i * classes_ + k];
        bias[k] += d;
        for (std::size_t c = 0; c < features_; ++c) weight[c * classes_ + k] += d * images.at(i, c, 0, 0);
      }
    return value;
  }
  std::size_t features_, classes_;
  parameter_set set_;
};

/// Clusters of points around one corner per class; each step draws anew from (seed, step).
class point_source : public bit::train::batch_source {
 public:
  point_source(std::size_t size, std::size_t features, std::size_t classes, unsigned seed = 1)
      : size_(size), features_(features), classes_(classes), seed_(seed) {}

  std::size_t size(std::size_t step) const override { return step % 3 == 2 ? size_ - 3 : size_; }  // a short batch
  bit::train::micro_batch read(std::size_t step, std::size_t part, std::size_t parts) override {
    const auto [first, count] = bit::train::range_of_micro_batch(size(step), part, parts);
    bit::train::micro_batch batch;
    batch.images = bit::tensor4<float>::from_shape({count, features_, 1, 1});
    for (std::size_t i = 0; i < count; ++i) {
      std::mt19937 random(static_cast<unsigned>((seed_ * 1009 + step) * 1009 + first + i));
      const std::size_t label = random() % classes_;
      batch.labels.push_back(static_cast<std::int64_t>(label));
      for (std::size_t c = 0; c < features_; ++c)
        batch.images(i, c, 0, 0) =
            static_cast<float>(random()) * 0x1p-32f - 0.5f + (c % classes_ == label ? 1.0f : 0.0f);
    }
    ++reads;
    return batch;
  }

  int reads = 0;

 private:
  std::size_t size_, features_, classes_;
  unsigned seed_;
};
