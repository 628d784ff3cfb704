// Bodies of model/frozen.hpp.
#pragma once

#include <algorithm>
#include <bit/model/frozen.hpp>

namespace bit::inline v0 {

template <backend Backend>
frozen_resnet_v2<Backend>::frozen_resnet_v2(bit::network net, const freeze_options& options)
    : net_(std::move(net)), options_(options) {
  // Which constants there are, and how they are packed, does not depend on the shape.
  const std::string output = default_output();
  const program p = net_.emit({1, config().in_channels, 32, 32}, {&output, 1});
  shared_->weights = std::make_shared<const typename Backend::weights>(p, options_);
}

template <backend Backend>
template <class Emit>
auto frozen_resnet_v2<Backend>::find_plan(const dims4& dims, std::span<const std::string> names, Emit emit) const
    -> std::shared_ptr<const plan_type> {
  const std::lock_guard lock(shared_->mutex);
  auto& plans = shared_->plans;
  const auto found = std::find_if(plans.begin(), plans.end(), [&](const planned& p) {
    return p.dims == dims && std::equal(p.names.begin(), p.names.end(), names.begin(), names.end());
  });
  if (found != plans.end()) {
    std::rotate(found, found + 1, plans.end());
    return plans.back().plan;
  }
  const program p = emit();
  auto plan = std::make_shared<const plan_type>(p, shared_->weights);
  std::vector<dims4> outputs;
  for (const value_id id : p.outputs) outputs.push_back(p[id].dims);
  if (plans.size() == max_plans) plans.erase(plans.begin());
  plans.push_back({dims, {names.begin(), names.end()}, std::move(outputs), plan});
  return plan;
}

template <backend Backend>
void frozen_resnet_v2<Backend>::execute(const plan_type& plan, const image_view<value_type>& images,
                                        std::span<value_type* const> outputs, run_options options) const {
  using workspace = typename Backend::workspace;
  options.threads = Backend::threads(options.threads);
  const std::size_t bytes = plan.workspace_bytes(options.threads);
  std::pair<std::size_t, std::unique_ptr<workspace>> memory;
  {
    const std::lock_guard lock(shared_->mutex);
    auto& free = shared_->workspaces;
    const auto fit = std::find_if(free.begin(), free.end(), [&](const auto& w) { return w.first >= bytes; });
    if (fit != free.end()) {
      memory = std::move(*fit);
      free.erase(fit);
    } else if (!free.empty()) {
      free.pop_back();  // too small: replaced, so that only as many stay as calls overlapped
    }
  }
  if (!memory.second) memory = {bytes, std::make_unique<workspace>(bytes)};
  const bool finished = plan.run(images, outputs, *memory.second, options);
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->workspaces.push_back(std::move(memory));
  }
  if (!finished) throw interrupted_error("[resnet_v2] interrupted");
}

template <backend Backend>
void frozen_resnet_v2<Backend>::run(const image_view<value_type>& images, std::span<const std::string> names,
                                    std::span<value_type* const> outputs, const run_options& options) const {
  const auto plan = find_plan(images.dims, names, [&] { return net_.emit(images.dims, names); });
  if (images.dims.n > 0) execute(*plan, images, outputs, options);
}

template <backend Backend>
void frozen_resnet_v2<Backend>::run_head(const image_view<value_type>& features, bool pre_logits, value_type* out,
                                         const run_options& options) const {
  const std::string names[] = {"", pre_logits ? "pooled" : "logits"};
  const auto plan = find_plan(features.dims, names, [&] { return net_.emit_head(features.dims, pre_logits); });
  if (features.dims.n > 0) execute(*plan, features, {&out, 1}, options);
}

template <backend Backend>
dims4 frozen_resnet_v2<Backend>::output_dims(const std::string& name, const dims4& images) const {
  {
    // What has been planned is known: emitting the program again took 30 µs of each of Python's calls.
    const std::lock_guard lock(shared_->mutex);
    for (const planned& p : shared_->plans) {
      const auto at = std::find(p.names.begin(), p.names.end(), name);
      if (p.dims == images && at != p.names.end() && !p.names.front().empty())
        return p.outputs[static_cast<std::size_t>(at - p.names.begin())];
    }
  }
  const program p = net_.emit(images, {&name, 1});
  return p[p.outputs.front()].dims;
}

template <backend Backend>
matrix<typename Backend::value_type> frozen_resnet_v2<Backend>::operator()(const tensor4<value_type>& images,
                                                                           layout order,
                                                                           const run_options& options) const {
  const dims4 dims = dims_of(images.shape(), order);
  const std::size_t columns = config().num_classes > 0 ? config().num_classes : config().num_features();
  auto result = matrix<value_type>::from_shape({dims.n, columns});
  const std::string name = default_output();
  value_type* out = result.data();
  run(view_of(images.data(), dims, order), {&name, 1}, {&out, 1}, options);
  return result;
}

template <backend Backend>
tensor4<typename Backend::value_type> frozen_resnet_v2<Backend>::features(const tensor4<value_type>& images,
                                                                          const std::string& name, layout order,
                                                                          const run_options& options) const {
  const dims4 dims = dims_of(images.shape(), order), d = output_dims(name, dims);
  auto result = order == layout::nchw ? tensor4<value_type>::from_shape({d.n, d.c, d.h, d.w})
                                      : tensor4<value_type>::from_shape({d.n, d.h, d.w, d.c});
  value_type* out = result.data();
  run_options same_layout = options;
  same_layout.output_layout = order;
  run(view_of(images.data(), dims, order), {&name, 1}, {&out, 1}, same_layout);
  return result;
}

template <backend Backend>
auto frozen_resnet_v2<Backend>::default_plan(const dims4& images) const -> std::shared_ptr<const plan_type> {
  const std::string name = default_output();
  return find_plan(images, {&name, 1}, [&] { return net_.emit(images, {&name, 1}); });
}

template <backend Backend>
memory_plan frozen_resnet_v2<Backend>::plan(const dims4& images) const {
  return default_plan(images)->memory();
}

template <backend Backend>
std::vector<step_profile> frozen_resnet_v2<Backend>::report(const dims4& images) const {
  const std::string name = default_output();
  return default_plan(images)->report(net_.emit(images, {&name, 1}));
}

template <backend Backend>
std::vector<step_profile> frozen_resnet_v2<Backend>::profile(const image_view<value_type>& images, std::size_t runs,
                                                             const run_options& options) const {
  if (runs == 0) throw config_error("[profile] expected at least 1 run, got 0");
  const std::string name = default_output();
  std::vector<step_profile> rows = report(images.dims);
  std::vector<value_type> out(output_dims(name, images.dims).size());
  value_type* const outputs[] = {out.data()};
  std::vector<double> seconds(runs * rows.size());
  run(images, {&name, 1}, outputs, options);
  for (std::size_t i = 0; i < runs; ++i) {
    run_options timed = options;
    timed.step_seconds = std::span(seconds).subspan(i * rows.size(), rows.size());
    run(images, {&name, 1}, outputs, timed);
  }
  add_seconds(rows, seconds);
  return rows;
}

template <backend Backend>
std::size_t frozen_resnet_v2<Backend>::throughput_batch(const dims4& image, std::size_t max_bytes) const {
  constexpr std::size_t largest = 32;
  const std::string name = default_output();
  std::vector<std::pair<std::size_t, double>> candidates;  // images, seconds per image
  for (std::size_t n = 1; n <= largest; n *= 2) {
    const program p = net_.emit({n, image.c, image.h, image.w}, {&name, 1});
    std::vector<std::size_t> bytes;
    for (const value& v : p.values)
      bytes.push_back(
          v.kind == value_kind::feature_map || v.kind == value_kind::matrix ? v.dims.size() * sizeof(value_type) : 0);
    if (n > 1 && plan_memory(p, bytes).total > max_bytes) break;
    candidates.emplace_back(n, shared_->weights->predicted_seconds(p) / static_cast<double>(n));
  }
  double best = candidates.front().second;
  for (const auto& [n, seconds] : candidates) best = std::min(best, seconds);
  return std::find_if(candidates.begin(), candidates.end(), [&](const auto& c) { return c.second <= 1.02 * best; })
      ->first;
}

template <backend Backend>
std::size_t frozen_resnet_v2<Backend>::workspace_bytes(const dims4& images, std::size_t threads) const {
  return default_plan(images)->workspace_bytes(Backend::threads(threads));
}

}  // namespace bit::inline v0
