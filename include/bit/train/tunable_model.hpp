// SPDX-License-Identifier: Apache-2.0
// The network that fine-tuning works on, whatever backend it is trained under: one class over any trainable backend.
#pragma once

#include <bit/config.hpp>
#include <bit/dtype.hpp>
#include <bit/model/trainable.hpp>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace bit::inline BIT_ABI::train {

/// A network in training without its backend's type. Each function is that of model/trainable.hpp.
template <class T>
class any_trainable {
 public:
  virtual ~any_trainable() = default;
  virtual const resnet_config& config() const = 0;
  virtual const bit::network& network() const = 0;
  virtual trainable_parameters<T>& parameters() = 0;
  virtual void set_training(const training_options& options) = 0;
  virtual training_options training() const = 0;
  virtual double accumulate(const image_view<T>& images, const loss& what, double scale,
                            std::span<const named_tap<T>> taps, const run_options& options, double weight) = 0;
  virtual double accumulate(const image_view<T>& images, const loss_function<T>& own, double scale,
                            std::span<const named_tap<T>> taps, const run_options& options, double weight) = 0;
  virtual void logits(const image_view<T>& images, T* out, const run_options& options) = 0;
  virtual void features(const image_view<T>& images, T* out, const run_options& options) = 0;
  virtual double accumulate_head(const image_view<T>& features, const loss& what, double scale,
                                 const run_options& options, double weight) = 0;
  virtual double accumulate_head(const image_view<T>& features, const loss_function<T>& own, double scale,
                                 const run_options& options, double weight) = 0;
  virtual void head_logits(const image_view<T>& features, T* out, const run_options& options) = 0;
  virtual training_memory memory_of(const dims4& images, const training_options& options, std::size_t threads,
                                    const dims4& evaluated) const = 0;
  virtual training_speed speed(std::size_t height, std::size_t width, std::size_t threads) const = 0;
  virtual void release() = 0;
};

/// A trainable_resnet_v2 behind that interface.
template <trainable_backend Backend>
class trainable_of final : public any_trainable<typename Backend::value_type> {
 public:
  using T = typename Backend::value_type;
  trainable_of(const resnet_config& config, const std::vector<named_tensor>& tensors) : model_(config, tensors) {}

  const resnet_config& config() const override { return model_.config(); }
  const bit::network& network() const override { return model_.network(); }
  trainable_parameters<T>& parameters() override { return model_.parameters(); }
  void set_training(const training_options& options) override { model_.set_training(options); }
  training_options training() const override { return model_.training(); }
  double accumulate(const image_view<T>& images, const loss& what, double scale, std::span<const named_tap<T>> taps,
                    const run_options& options, double weight) override {
    return model_.accumulate(images, what, scale, taps, options, weight);
  }
  double accumulate(const image_view<T>& images, const loss_function<T>& own, double scale,
                    std::span<const named_tap<T>> taps, const run_options& options, double weight) override {
    return model_.accumulate(images, own, scale, taps, options, weight);
  }
  void logits(const image_view<T>& images, T* out, const run_options& options) override {
    model_.logits(images, out, options);
  }
  void features(const image_view<T>& images, T* out, const run_options& options) override {
    model_.features(images, out, options);
  }
  double accumulate_head(const image_view<T>& features, const loss& what, double scale, const run_options& options,
                         double weight) override {
    return model_.accumulate_head(features, what, scale, options, weight);
  }
  double accumulate_head(const image_view<T>& features, const loss_function<T>& own, double scale,
                         const run_options& options, double weight) override {
    return model_.accumulate_head(features, own, scale, options, weight);
  }
  void head_logits(const image_view<T>& features, T* out, const run_options& options) override {
    model_.head_logits(features, out, options);
  }
  training_memory memory_of(const dims4& images, const training_options& options, std::size_t threads,
                            const dims4& evaluated) const override {
    return model_.memory_of(model_.config(), images, options, threads, evaluated);
  }
  training_speed speed(std::size_t height, std::size_t width, std::size_t threads) const override {
    return model_.speed(height, width, threads);
  }
  void release() override { model_.release(); }

 private:
  trainable_resnet_v2<Backend> model_;
};

/// Owns a network in training under a backend that is chosen at run time, by a dtype, or brought by the caller. T is
/// float, or double for the reference backend. A model that has been moved from may be assigned to or destroyed only.
template <class T>
class basic_tunable_model {
 public:
  /// The network under a backend of the caller's; `dtype` is what recipes and checkpoints say that it computes in.
  template <trainable_backend Backend>
  static basic_tunable_model of(const resnet_config& config, const std::vector<named_tensor>& tensors,
                                bit::dtype dtype = bit::dtype::float32) {
    return {std::make_unique<trainable_of<Backend>>(config, tensors), dtype};
  }
  basic_tunable_model(std::unique_ptr<any_trainable<T>> model, bit::dtype dtype)
      : model_(std::move(model)), dtype_(dtype) {}

  bit::dtype dtype() const { return dtype_; }
  const resnet_config& config() const { return model_->config(); }
  const bit::network& network() const { return model_->network(); }
  trainable_parameters<T>& parameters() { return model_->parameters(); }
  const trainable_parameters<T>& parameters() const { return model_->parameters(); }
  void set_training(const training_options& options) { model_->set_training(options); }
  training_options training() const { return model_->training(); }
  void zero_gradients() { parameters().zero_gradients(); }
  double accumulate(const image_view<T>& images, const loss& what, double scale = 1,
                    std::span<const named_tap<T>> taps = {}, const run_options& options = {}, double weight = 1) {
    return model_->accumulate(images, what, scale, taps, options, weight);
  }
  double accumulate(const image_view<T>& images, const loss_function<T>& own, double scale = 1,
                    std::span<const named_tap<T>> taps = {}, const run_options& options = {}, double weight = 1) {
    return model_->accumulate(images, own, scale, taps, options, weight);
  }
  void logits(const image_view<T>& images, T* out, const run_options& options = {}) {
    model_->logits(images, out, options);
  }
  void features(const image_view<T>& images, T* out, const run_options& options = {}) {
    model_->features(images, out, options);
  }
  double accumulate_head(const image_view<T>& features, const loss& what, double scale = 1,
                         const run_options& options = {}, double weight = 1) {
    return model_->accumulate_head(features, what, scale, options, weight);
  }
  double accumulate_head(const image_view<T>& features, const loss_function<T>& own, double scale = 1,
                         const run_options& options = {}, double weight = 1) {
    return model_->accumulate_head(features, own, scale, options, weight);
  }
  void head_logits(const image_view<T>& features, T* out, const run_options& options = {}) {
    model_->head_logits(features, out, options);
  }
  training_memory memory_of(const dims4& images, const training_options& options, std::size_t threads = 0,
                            const dims4& evaluated = {}) const {
    return model_->memory_of(images, options, threads, evaluated);
  }
  training_speed speed(std::size_t height, std::size_t width, std::size_t threads = 0) const {
    return model_->speed(height, width, threads);
  }
  void release() { model_->release(); }

 private:
  std::unique_ptr<any_trainable<T>> model_;
  bit::dtype dtype_;
};

using tunable_model = basic_tunable_model<float>;

}  // namespace bit::inline BIT_ABI::train
