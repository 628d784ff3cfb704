// SPDX-License-Identifier: Apache-2.0
// Bodies of model/trainable.hpp.
#pragma once

#include <algorithm>
#include <bit/model/present_values.hpp>
#include <bit/model/trainable.hpp>
#include <string>
#include <utility>

namespace bit::inline BIT_ABI {
template <trainable_backend Backend>
trainable_resnet_v2<Backend>::trainable_resnet_v2(const resnet_config& config,
                                                  const std::vector<named_tensor>& tensors) {
  const std::vector<named_tensor> given = bit::network(config, tensors).parameters();
  parameters_ = std::make_shared<parameters_type>(std::span<const named_tensor>(given));
  net_ = std::make_unique<bit::network>(config, detail::present_tensors<T>(given, parameters_));
  weights_ = std::make_shared<typename training_of<Backend>::weights>(parameters_);
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::set_training(const training_options& options) {
  for (const std::string& name : options.frozen) parameters_->index_of(name);
  follow_gradients();
  if (options == options_) return;
  const bool moves = options.frozen != options_.frozen;
  options_ = options;
  plans_.clear();  // packed forms stay: both ways of recomputation read the same
  if (!moves) return;
  release();
  parameters_->freeze(options.frozen);
  gradient_version_ = parameters_->gradient_version();
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::follow_gradients() {
  if (gradient_version_ == parameters_->gradient_version()) return;
  gradient_version_ = parameters_->gradient_version();
  options_.frozen = parameters_->frozen();
  release();
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::release() {
  plans_.clear();
  memory_ = nullptr;
  memory_bytes_ = 0;
  weights_ = std::make_shared<typename training_of<Backend>::weights>(parameters_);
}

template <trainable_backend Backend>
training_program trainable_resnet_v2<Backend>::emit(const bit::network& net, const dims4& images, pass what,
                                                    const training_options& options) {
  if (what == pass::head_logits) return {.forward = net.emit_head(images, false)};
  if (what == pass::head_training) return with_backward(net.emit_head(images, false), options);
  const std::string output = what != pass::features && net.config().num_classes > 0 ? "logits" : "pooled";
  program forward = net.emit(images, {&output, 1});
  if (what == pass::logits || what == pass::features) return {.forward = std::move(forward)};
  return with_backward(std::move(forward), options);
}

template <trainable_backend Backend>
auto trainable_resnet_v2<Backend>::find_plan(const dims4& images, pass what, std::span<const named_tap<T>> taps)
    -> planned& {
  follow_gradients();
  std::vector<std::string> names;
  for (const named_tap<T>& t : taps) names.push_back(t.name);
  const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const planned& p) {
    return p.dims == images && p.what == what && p.taps == names;
  });
  if (found != plans_.end()) {
    std::rotate(found, found + 1, plans_.end());
    return plans_.back();
  }
  planned made{images, what, names, {}, {}, nullptr};
  if (names.empty()) {
    made.plan = std::make_unique<plan_type>(emit(*net_, images, what, options_), weights_);
  } else {
    detail::tapped_program tapped = detail::emit_tapped(*net_, images, names);
    made.tapped = tapped.taps;
    for (const value_id id : tapped.taps) made.tap_dims.push_back(tapped.forward[id].dims);
    made.plan = std::make_unique<plan_type>(with_backward(std::move(tapped.forward), options_, made.tapped), weights_);
  }
  if (plans_.size() == max_plans) plans_.erase(plans_.begin());
  plans_.push_back(std::move(made));
  return plans_.back();
}

template <trainable_backend Backend>
training_memory trainable_resnet_v2<Backend>::memory_of(const resnet_config& config, const dims4& images,
                                                        const training_options& options, std::size_t threads,
                                                        const dims4& evaluated) {
  threads = Backend::threads(threads);
  const std::vector<tensor_spec> specs = tensor_specs(config);
  std::vector<named_tensor> tensors;
  training_memory m;
  for (const tensor_spec& spec : specs) {
    tensors.push_back({spec.name, spec.shape, nullptr});
    m.values += spec.size() * sizeof(T);
    if (!options.frozen.contains(spec.name)) m.gradients += spec.size() * sizeof(T);
  }
  // Plans ask their constants for the forms that they read; nothing is packed before the first step.
  const bit::network net(config, tensors);
  const auto weights = std::make_shared<typename training_of<Backend>::weights>(parameters_type::without_memory(specs));
  const plan_type training(emit(net, images, pass::training, options), weights);
  m.arena = training.memory().total;
  m.scratch = training.workspace_bytes(threads) - m.arena;
  if (evaluated.n > 0) {
    const plan_type logits(emit(net, evaluated, pass::logits, options), weights);
    const std::size_t all = std::max(m.arena + m.scratch, logits.workspace_bytes(threads));
    m.arena = std::max(m.arena, logits.memory().total);
    m.scratch = all - std::min(all, m.arena);
  }
  m.packed = weights->bytes(threads);
  return m;
}

template <trainable_backend Backend>
auto trainable_resnet_v2<Backend>::memory_for(const plan_type& plan, std::size_t threads) -> workspace& {
  const std::size_t bytes = plan.workspace_bytes(threads);
  if (!memory_ || memory_bytes_ < bytes) {
    memory_ = nullptr;  // before the larger one, not beside it
    memory_ = std::make_unique<workspace>(bytes);
    memory_bytes_ = bytes;
  }
  return *memory_;
}

template <trainable_backend Backend>
double trainable_resnet_v2<Backend>::evaluate_on_host(const loss_function<T>& own, std::size_t n, double weight) {
  const std::size_t classes = config().num_classes;
  host_logits_.resize(n * classes);
  host_gradient_.resize(n * classes);
  logits_.read_logits(host_logits_);
  const double value = own(host_logits_, host_gradient_, n, classes);
  if (weight != 1)
    for (T& g : host_gradient_) g = static_cast<T>(static_cast<double>(g) * weight);
  logits_.write_gradient(host_gradient_);
  return value;
}

template <trainable_backend Backend>
double trainable_resnet_v2<Backend>::accumulate(const image_view<T>& images, const loss& what, double scale,
                                                std::span<const named_tap<T>> taps, const run_options& options,
                                                double weight) {
  const auto evaluate = [&] { return logits_.evaluate(what, weight); };
  return accumulate(pass::training, images, evaluate, scale, taps, options);
}

template <trainable_backend Backend>
double trainable_resnet_v2<Backend>::accumulate(const image_view<T>& images, const loss_function<T>& own, double scale,
                                                std::span<const named_tap<T>> taps, const run_options& options,
                                                double weight) {
  const auto evaluate = [&] { return evaluate_on_host(own, images.dims.n, weight); };
  return accumulate(pass::training, images, evaluate, scale, taps, options);
}

template <trainable_backend Backend>
double trainable_resnet_v2<Backend>::accumulate_head(const image_view<T>& features, const loss& what, double scale,
                                                     const run_options& options, double weight) {
  const auto evaluate = [&] { return logits_.evaluate(what, weight); };
  return accumulate(pass::head_training, features, evaluate, scale, {}, options);
}

template <trainable_backend Backend>
double trainable_resnet_v2<Backend>::accumulate_head(const image_view<T>& features, const loss_function<T>& own,
                                                     double scale, const run_options& options, double weight) {
  const auto evaluate = [&] { return evaluate_on_host(own, features.dims.n, weight); };
  return accumulate(pass::head_training, features, evaluate, scale, {}, options);
}

template <trainable_backend Backend>
template <class Evaluate>
double trainable_resnet_v2<Backend>::accumulate(pass what, const image_view<T>& images, const Evaluate& evaluate,
                                                double scale, std::span<const named_tap<T>> taps, run_options options) {
  const std::size_t n = images.dims.n;
  if (config().num_classes == 0)
    throw config_error("[trainable] expected a network with a head, got 0 classes; give it one before training");
  if (n == 0) throw shape_error("[trainable] expected at least one image, got " + to_string(images.dims));
  options.threads = Backend::threads(options.threads);
  planned& found = find_plan(images.dims, what, taps);
  const std::vector<gradient_tap<T>> wanted = detail::find_taps<T>(taps, found.tapped, found.tap_dims);
  plan_type& plan = *found.plan;
  workspace& memory = memory_for(plan, options.threads);
  logits_.resize(n, config().num_classes);
  if (!plan.forward(images, logits_.logits(), memory, options)) throw interrupted_error("[trainable] interrupted");
  const double value = evaluate();
  if (parameters_->gradient_version() != gradient_version_)
    throw config_error("[trainable] the loss changed which parameters learn; do that between two steps");
  if (!plan.backward(images, logits_.gradient(), scale, wanted, memory, options))
    throw interrupted_error("[trainable] interrupted");
  return value;
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::run_forward(pass what, const image_view<T>& images, T* out, run_options options) {
  plan_type& plan = *find_plan(images.dims, what).plan;
  if (images.dims.n == 0) return;
  const std::size_t columns =
      what == pass::features || config().num_classes == 0 ? config().num_features() : config().num_classes;
  options.threads = Backend::threads(options.threads);
  logits_.resize(images.dims.n, columns);
  if (!plan.forward(images, logits_.logits(), memory_for(plan, options.threads), options))
    throw interrupted_error("[trainable] interrupted");
  logits_.read_logits({out, images.dims.n * columns});
}

template <trainable_backend Backend>
training_speed trainable_resnet_v2<Backend>::speed(std::size_t height, std::size_t width, std::size_t threads) const {
  const std::string output = config().num_classes > 0 ? "logits" : "pooled";
  return training_of<Backend>::speed(network().emit({1, config().in_channels, height, width}, {&output, 1}),
                                     *parameters_, threads);
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::logits(const image_view<T>& images, T* out, const run_options& options) {
  run_forward(pass::logits, images, out, options);
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::features(const image_view<T>& images, T* out, const run_options& options) {
  run_forward(pass::features, images, out, options);
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::head_logits(const image_view<T>& features, T* out, const run_options& options) {
  run_forward(pass::head_logits, features, out, options);
}

}  // namespace bit::inline BIT_ABI
