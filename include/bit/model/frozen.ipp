// SPDX-License-Identifier: Apache-2.0
// Bodies of model/frozen.hpp.
#pragma once

#include <algorithm>
#include <bit/detail/number_text.hpp>
#include <bit/model/frozen.hpp>
#include <bit/model/with_memory.hpp>

namespace bit::inline BIT_ABI {
namespace detail {

/// Throws shape_error unless there is memory behind the images and behind each output.
template <class Image, class Output>
void require_memory(const Image* images, const dims4& dims, std::span<const std::string> names,
                    std::span<Output* const> outputs) {
  if (images == nullptr)
    throw shape_error("[run] expected images " + to_string(dims) + " at an address, got a null pointer");
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i] == nullptr)
      throw shape_error("[run] expected memory for the output \"" + names[i] + "\" of images " + to_string(dims) +
                        ", got a null pointer");
}

/// Throws shape_error unless there are as many outputs as names.
inline void require_equal_counts(std::size_t names, std::size_t outputs) {
  if (names != outputs)
    throw shape_error("[run] expected one output for each name, got " + std::to_string(names) + " names and " +
                      std::to_string(outputs) + (outputs == 1 ? " output" : " outputs"));
}

}  // namespace detail

template <backend Backend>
frozen_resnet_v2<Backend>::frozen_resnet_v2(const bit::network& net, const freeze_options& options) {
  if (!device_backend<Backend> && options.device != 0)
    throw config_error("[freeze] expected device 0, as this backend works in the machine's own memory, got device " +
                       std::to_string(options.device));
  detail::with_memory(
      [&] {
        std::size_t bytes = 0;
        for (const named_tensor& t : net.parameters()) bytes += t.size() * Backend::map_bytes;
        return "[freeze] the weights of " + architecture_name(net.config()) + " need about " +
               detail::size_text(bytes) + ", which the system did not give; take a smaller network or bfloat16";
      },
      [&] {
        shared_ = std::make_shared<state>(net, options);
        // Which weights there are, and how they are packed, does not depend on the shape. The type is named because the
        // parser of nvcc 13.0 loses the closing brace of a nameless list here.
        const std::string output = default_output();
        const program p = network().emit(dims4{1, config().in_channels, 32, 32}, {&output, 1});
        shared_->weights = std::make_shared<const typename Backend::weights>(p, options);
      });
}

template <backend Backend>
void frozen_resnet_v2<Backend>::release() const {
  shared_->plans.clear();
  shared_->workspaces.clear();
}

/// Arena bytes of a program's feature maps and tables: what any plan of it needs at least.
template <backend Backend>
std::size_t frozen_resnet_v2<Backend>::map_bytes(const program& p) const {
  std::vector<std::size_t> bytes;
  for (const value& v : p.values)
    bytes.push_back(v.kind == value_kind::feature_map ? v.dims.size() * Backend::map_bytes
                    : v.kind == value_kind::matrix    ? v.dims.size() * sizeof(value_type)
                                                      : 0);
  return plan_memory(p, bytes).total;
}

template <backend Backend>
template <class Emit>
auto frozen_resnet_v2<Backend>::find_plan(const typename cache::key& what, Emit emit) const
    -> std::shared_ptr<const plan_type> {
  const dims4& dims = what.dims;
  return shared_->plans.find(what, [&] {
    const program p = emit();
    // Cutting the work of images that no machine holds would take minutes.
    const std::size_t needed = map_bytes(p), there_is = Backend::memory_bytes();
    if (needed > there_is)
      throw shape_error("[run] expected images whose feature maps fit into memory: those of " + to_string(dims) +
                        " need " + detail::size_text(needed) + ", there is " + detail::size_text(there_is) +
                        "; use fewer images a call or smaller ones");
    typename cache::planned made;
    for (const value_id id : p.outputs) made.outputs.push_back(p[id].dims);
    made.plan = detail::with_memory(
        [&] { return "[run] the plan for images " + to_string(dims) + " needs memory that the system did not give"; },
        [&] { return std::make_shared<const plan_type>(p, shared_->weights); });
    return made;
  });
}

template <backend Backend>
auto frozen_resnet_v2<Backend>::find_plan(const dims4& images, std::span<const std::string> names) const
    -> std::shared_ptr<const plan_type> {
  return find_plan({images, names}, [&] { return network().emit(images, names); });
}

template <backend Backend>
void frozen_resnet_v2<Backend>::execute(const plan_type& plan, const image_view<value_type>& images,
                                        std::span<value_type* const> outputs, run_options options) const {
  options.threads = Backend::threads(options.threads);
  const std::size_t bytes = plan.workspace_bytes(options.threads);
  const bool finished = detail::with_memory(
      [&] {
        return "[run] images " + to_string(images.dims) + " need " + detail::size_text(bytes) + " (" +
               std::to_string(bytes) + " bytes) of working memory with " + std::to_string(options.threads) +
               " threads, which the system did not give; use fewer images a call, smaller ones or fewer threads";
      },
      [&] {
        const auto memory = shared_->workspaces.take(bytes);
        return plan.run(images, outputs, *memory, options);
      });
  if (!finished) throw interrupted_error("[resnet_v2] interrupted");
}

template <backend Backend>
void frozen_resnet_v2<Backend>::run(const image_view<value_type>& images, std::span<const std::string> names,
                                    std::span<value_type* const> outputs, const run_options& options) const {
  detail::require_equal_counts(names.size(), outputs.size());
  if (images.dims.n == 0) {
    network().emit(images.dims, names);  // throws for what no number of images makes right
    return;
  }
  const auto plan = find_plan(images.dims, names);
  detail::require_memory(images.data, images.dims, names, outputs);
  execute(*plan, images, outputs, options);
}

template <backend Backend>
template <class B>
requires device_backend<B> && std::same_as<B, Backend>
void frozen_resnet_v2<Backend>::run(const device_tensor& images, std::span<const std::string> names,
                                    std::span<const device_tensor> outputs, typename B::queue queue) const {
  detail::require_equal_counts(names.size(), outputs.size());
  std::vector<void*> addresses;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    addresses.push_back(outputs[i].data);
    if (const dims4 expected = output_dims(names[i], images.dims); outputs[i].dims != expected)
      throw shape_error("[run] expected the output \"" + names[i] + "\" to be " + to_string(expected) + " for images " +
                        to_string(images.dims) + ", got " + to_string(outputs[i].dims));
  }
  const auto require_device = [&](const device_tensor& t, const std::string& what) {
    if (t.device != options().device)
      throw device_error("[run] expected " + what + " on device " + std::to_string(options().device) +
                         ", where the model is, got device " + std::to_string(t.device));
  };
  require_device(images, "images");
  for (std::size_t i = 0; i < outputs.size(); ++i) require_device(outputs[i], "the output \"" + names[i] + "\"");
  if (images.dims.n == 0) return;
  detail::require_memory(images.data, images.dims, names, std::span<void* const>(addresses));
  const auto plan = find_plan(images.dims, names);
  const std::size_t bytes = plan->workspace_bytes(Backend::threads(0));
  detail::with_memory(
      [&] {
        return "[run] images " + to_string(images.dims) + " need " + detail::size_text(bytes) +
               " of device memory, which the device did not give; use fewer images a call or smaller ones";
      },
      [&] { plan->enqueue(images, outputs, *shared_->workspaces.take(bytes), queue); });
}

template <backend Backend>
void frozen_resnet_v2<Backend>::run_head(const image_view<value_type>& features, bool pre_logits, value_type* out,
                                         const run_options& options) const {
  const std::string name = pre_logits ? "pooled" : "logits";
  const auto emit = [&] { return network().emit_head(features.dims, pre_logits); };
  if (features.dims.n == 0) {
    emit();
    return;
  }
  const auto plan = find_plan({features.dims, {&name, 1}, true}, emit);
  detail::require_memory(features.data, features.dims, {&name, 1}, std::span<value_type* const>(&out, 1));
  execute(*plan, features, {&out, 1}, options);
}

template <backend Backend>
dims4 frozen_resnet_v2<Backend>::output_dims(const std::string& name, const dims4& images) const {
  // What has been planned is known: emitting the program again took 30 µs of each of Python's calls.
  if (const auto known = shared_->plans.output_dims(name, images)) return *known;
  const program p = network().emit(images, {&name, 1});
  return p[p.outputs.front()].dims;
}

template <backend Backend>
matrix<typename Backend::value_type> frozen_resnet_v2<Backend>::operator()(const image_view<value_type>& images,
                                                                           const run_options& options) const {
  const std::string name = default_output();
  const dims4 d = output_dims(name, images.dims);
  auto result = matrix<value_type>::from_shape({d.n, d.c});
  value_type* out = result.data();
  run(images, {&name, 1}, {&out, 1}, options);
  return result;
}

template <backend Backend>
matrix<typename Backend::value_type> frozen_resnet_v2<Backend>::operator()(const tensor4<value_type>& images,
                                                                           layout order,
                                                                           const run_options& options) const {
  return (*this)(view_of(images.data(), dims_of(images.shape(), order), order), options);
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
  return find_plan(images, {&name, 1});
}

template <backend Backend>
memory_plan frozen_resnet_v2<Backend>::plan(const dims4& images) const {
  return default_plan(images)->memory();
}

template <backend Backend>
std::vector<step_profile> frozen_resnet_v2<Backend>::report(const dims4& images) const {
  const std::string name = default_output();
  return default_plan(images)->report(network().emit(images, {&name, 1}));
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
  const std::string name = default_output();
  std::vector<std::pair<std::size_t, double>> candidates;  // images, seconds per image
  for (std::size_t n = 1; n <= Backend::largest_batch; n *= 2) {
    const program p = network().emit(dims4{n, image.c, image.h, image.w}, {&name, 1});
    const std::size_t bytes = map_bytes(p);
    if (n > 1 && bytes > max_bytes) break;
    candidates.emplace_back(n, shared_->weights->predicted_seconds(p) / static_cast<double>(n));
    if (bytes > max_bytes) break;
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

}  // namespace bit::inline BIT_ABI
