// SPDX-License-Identifier: Apache-2.0
// Bodies of model/gradients.hpp.
#pragma once

#include <algorithm>
#include <bit/model/gradients.hpp>
#include <bit/model/with_memory.hpp>

namespace bit::inline BIT_ABI {

template <gradient_backend Backend>
auto frozen_gradients<Backend>::find_plan(const dims4& images, std::span<const std::string> names) const
    -> std::shared_ptr<const planned> {
  return shared_->plans.find({images, names}, [&] {
    detail::tapped_program tapped = detail::emit_tapped(model_.network(), images, names);
    training_options nothing_learns;
    for (const named_tensor& t : tapped.forward.parameters) nothing_learns.frozen.insert(t.name);
    const training_program p = with_backward(std::move(tapped.forward), nothing_learns, tapped.taps);
    typename detail::plan_cache<planned>::planned made;
    made.plan = std::make_shared<const planned>(p, model_.weights());
    return made;
  });
}

template <gradient_backend Backend>
void frozen_gradients<Backend>::operator()(const image_view<T>& images, const logits_gradient_function<T>& of_logits,
                                           std::span<const named_tap<T>> taps, std::span<T> logits,
                                           const run_options& options) const {
  const std::size_t n = images.dims.n, size = n * model_.config().num_classes;
  std::vector<std::string> names;
  for (const named_tap<T>& t : taps) names.push_back(t.name);
  const auto found = find_plan(images.dims, names);
  const std::vector<gradient_tap<T>> wanted = detail::find_taps<T>(taps, found->taps, found->dims);
  if (!logits.empty() && logits.size() != size)
    throw shape_error("[gradients] expected room for " + std::to_string(size) + " logits or for none, got " +
                      std::to_string(logits.size()));
  if (n == 0) return;
  run_options run = options;
  run.threads = Backend::threads(options.threads);
  std::vector<T> forward(size), gradient(size, T(0));
  const std::size_t bytes = found->plan.workspace_bytes(run.threads);
  const auto lease = detail::with_memory(
      [&] { return "[gradients] a call for images " + to_string(images.dims) + " needs " + detail::size_text(bytes); },
      [&] { return shared_->workspaces.take(bytes); });
  if (!found->plan.forward(images, forward.data(), *lease, run)) throw interrupted_error("[gradients] interrupted");
  std::copy(forward.begin(), logits.empty() ? forward.begin() : forward.end(), logits.begin());
  of_logits(forward, gradient);
  if (!found->plan.backward(images, gradient.data(), wanted, *lease, run))
    throw interrupted_error("[gradients] interrupted");
}

template <gradient_backend Backend>
void frozen_gradients<Backend>::operator()(const image_view<T>& images, std::span<const T> gradient_of_logits,
                                           std::span<const named_tap<T>> taps, std::span<T> logits,
                                           const run_options& options) const {
  const std::size_t size = images.dims.n * model_.config().num_classes;
  if (gradient_of_logits.size() != size)
    throw shape_error("[gradients] expected a gradient of " + std::to_string(size) + " logits for images " +
                      to_string(images.dims) + ", got " + std::to_string(gradient_of_logits.size()));
  const auto given = [&](std::span<const T>, std::span<T> gradient) {
    std::copy(gradient_of_logits.begin(), gradient_of_logits.end(), gradient.begin());
  };
  (*this)(images, logits_gradient_function<T>(given), taps, logits, options);
}

template <gradient_backend Backend>
std::size_t frozen_gradients<Backend>::workspace_bytes(const dims4& images, std::span<const std::string> taps,
                                                       std::size_t threads) const {
  return find_plan(images, taps)->plan.workspace_bytes(Backend::threads(threads));
}

}  // namespace bit::inline BIT_ABI
