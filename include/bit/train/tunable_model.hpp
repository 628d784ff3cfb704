// The network that fine-tuning works on, in the dtype that was asked for at run time.
#pragma once

#include <span>
#include <variant>
#include <vector>

#include <bit/dtype.hpp>
#include <bit/model/trainable.hpp>

namespace bit::inline v0::train {

/// trainable_resnet_v2<cpu<float>> or <cpu<bfloat16>>; each function is that of model/trainable.hpp.
class tunable_model {
 public:
  tunable_model(const resnet_config& config, const std::vector<named_tensor>& tensors,
                bit::dtype dtype = bit::dtype::float32)
      : model_(dtype == bit::dtype::float32 ? any(std::in_place_index<0>, config, tensors)
                                            : any(std::in_place_index<1>, config, tensors)) {}

  bit::dtype dtype() const { return model_.index() == 0 ? bit::dtype::float32 : bit::dtype::bfloat16; }
  const resnet_config& config() const {
    return std::visit([](const auto& m) -> const resnet_config& { return m.config(); }, model_);
  }
  const bit::network& network() const {
    return std::visit([](const auto& m) -> const bit::network& { return m.network(); }, model_);
  }
  std::span<const trainable_parameter<float>> parameters() const {
    return std::visit([](const auto& m) { return m.parameters(); }, model_);
  }
  void set_training(const training_options& options) {
    std::visit([&](auto& m) { m.set_training(options); }, model_);
  }
  const training_options& training() const {
    return std::visit([](const auto& m) -> const training_options& { return m.training(); }, model_);
  }
  void zero_gradients() {
    std::visit([](auto& m) { m.zero_gradients(); }, model_);
  }
  void parameters_changed() {
    std::visit([](auto& m) { m.parameters_changed(); }, model_);
  }
  double accumulate(const image_view<float>& images, const loss_function<float>& loss, double scale = 1,
                    std::span<const named_tap<float>> taps = {}, const run_options& options = {}) {
    return std::visit([&](auto& m) { return m.accumulate(images, loss, scale, taps, options); }, model_);
  }
  void logits(const image_view<float>& images, float* out, const run_options& options = {}) {
    std::visit([&](auto& m) { m.logits(images, out, options); }, model_);
  }
  void features(const image_view<float>& images, float* out, const run_options& options = {}) {
    std::visit([&](auto& m) { m.features(images, out, options); }, model_);
  }
  double accumulate_head(const image_view<float>& features, const loss_function<float>& loss, double scale = 1,
                         const run_options& options = {}) {
    return std::visit([&](auto& m) { return m.accumulate_head(features, loss, scale, options); }, model_);
  }
  void head_logits(const image_view<float>& features, float* out, const run_options& options = {}) {
    std::visit([&](auto& m) { m.head_logits(features, out, options); }, model_);
  }
  training_memory memory_of(const dims4& images, const training_options& options, std::size_t threads = 0,
                            const dims4& evaluated = {}) const {
    return std::visit(
        [&]<class Model>(const Model& m) { return Model::memory_of(m.config(), images, options, threads, evaluated); },
        model_);
  }
  void release() {
    std::visit([](auto& m) { m.release(); }, model_);
  }

 private:
  using any = std::variant<trainable_resnet_v2<cpu<float>>, trainable_resnet_v2<cpu<bfloat16>>>;
  any model_;
};

}  // namespace bit::inline v0::train
