// SPDX-License-Identifier: Apache-2.0
// Bodies of model/recorder.hpp.
#pragma once

#include <algorithm>
#include <bit/detail/number_text.hpp>
#include <bit/error.hpp>
#include <bit/model/present_values.hpp>
#include <bit/model/recorder.hpp>
#include <bit/model/with_memory.hpp>
#include <bit/program/backward.hpp>
#include <utility>

namespace bit::inline BIT_ABI {

template <recording_backend Backend>
recorder<Backend>::recorder(const resnet_config& config, const std::vector<named_tensor>& tensors) {
  const std::vector<named_tensor> given = bit::network(config, tensors).parameters();
  parameters_ = std::make_shared<parameters_type>(std::span<const named_tensor>(given));
  net_ = std::make_unique<bit::network>(config, detail::present_tensors<T>(given, parameters_));
  weights_ = std::make_shared<typename training_of<Backend>::weights>(parameters_);
}

template <recording_backend Backend>
void recorder<Backend>::set_training(const training_options& options) {
  for (const std::string& name : options.frozen) parameters_->index_of(name);
  if (options == options_) return;
  const bool moves = options.frozen != options_.frozen;
  options_ = options;
  if (!moves) return;
  plans_.clear();
  parameters_->freeze(options.frozen);
  weights_ = std::make_shared<typename training_of<Backend>::weights>(parameters_);
}

template <recording_backend Backend>
auto recorder<Backend>::find_plan(const dims4& images, std::span<const std::string> names, bool image_gradient)
    -> std::shared_ptr<const planned> {
  const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const auto& p) {
    return p->dims == images && std::ranges::equal(p->names, names) && p->image_gradient == image_gradient &&
           p->options == options_;
  });
  if (found != plans_.end()) {
    std::rotate(found, found + 1, plans_.end());
    return plans_.back();
  }
  if (images.n == 0) throw shape_error("[recorder] expected at least one image, got " + to_string(images));
  if (names.empty()) throw config_error("[recorder] expected the name of at least one output, got none");
  auto made = std::make_shared<planned>();
  made->dims = images;
  made->names.assign(names.begin(), names.end());
  made->image_gradient = image_gradient;
  made->options = options_;
  program forward = net_->emit(images, names);
  for (const value_id id : forward.outputs) made->output_dims.push_back(forward[id].dims);
  for (std::size_t v = 0; v < forward.values.size() && image_gradient; ++v)
    if (forward.values[v].kind == value_kind::image) made->taps.push_back(value_id{v});
  made->plan =
      std::make_unique<plan_type>(with_backward_from_outputs(std::move(forward), options_, made->taps), weights_);
  if (plans_.size() == max_plans) plans_.erase(plans_.begin());
  plans_.push_back(std::move(made));
  return plans_.back();
}

template <recording_backend Backend>
auto recorder<Backend>::record(const image_view<T>& images, std::span<const std::string> names,
                               std::span<T* const> outputs, bool image_gradient, const run_options& options)
    -> recording {
  if (outputs.size() != names.size())
    throw shape_error("[recorder] expected one address per output, got " + std::to_string(outputs.size()) + " for " +
                      std::to_string(names.size()) + " names");
  const auto found = find_plan(images.dims, names, image_gradient);
  run_options run = options;
  run.threads = Backend::threads(options.threads);
  const std::size_t bytes = found->plan->workspace_bytes(run.threads);
  recording made = detail::with_memory(
      [&] { return "[recorder] a pass over images " + to_string(images.dims) + " needs " + detail::size_text(bytes); },
      [&] { return recording(found, workspaces_, bytes, parameters_, images); });
  if (!found->plan->forward_to_outputs(images, outputs, **made.memory_, run))
    throw interrupted_error("[recorder] interrupted");
  return made;
}

template <recording_backend Backend>
std::vector<dims4> recorder<Backend>::output_dims(const dims4& images, std::span<const std::string> names,
                                                  bool image_gradient) {
  return find_plan(images, names, image_gradient)->output_dims;
}

template <recording_backend Backend>
void recorder<Backend>::recording::backward(std::span<const T* const> gradients, T* image_gradient,
                                            const run_options& options) {
  if (!memory_)
    throw config_error("[recorder] expected a recording that has not gone back, got one that has: record again");
  if (gradients.size() != plan_->names.size())
    throw shape_error("[recorder] expected the gradients of " + std::to_string(plan_->names.size()) + " outputs, got " +
                      std::to_string(gradients.size()));
  if (image_gradient && plan_->taps.empty())
    throw config_error("[recorder] the images' gradient was not asked for in the forward pass");
  if (version_ != parameters_->version() || gradient_version_ != parameters_->gradient_version())
    throw config_error("[recorder] parameters were changed between the forward and the backward pass: go back first");
  std::vector<gradient_tap<T>> taps;
  if (image_gradient) taps.push_back({plan_->taps.front(), image_gradient});
  run_options run = options;
  run.threads = Backend::threads(options.threads);
  const std::unique_ptr<typename pool::lease> memory = std::move(memory_);
  if (!plan_->plan->backward_from_outputs(images_, gradients, 1.0, taps, **memory, run))
    throw interrupted_error("[recorder] interrupted");
}

}  // namespace bit::inline BIT_ABI
