// Bodies of model/trainable.hpp.
#pragma once

#include <algorithm>
#include <bit/model/trainable.hpp>
#include <functional>
#include <numeric>
#include <string>

namespace bit::inline v0 {
namespace detail {

/// A parameter's present values; the memory is the model's.
template <class T>
class present_values final : public tensor_data {
 public:
  explicit present_values(std::span<const T> values) : values_(values) {}
  void read(std::span<float> out) const override { copy_to(out); }
  void read(std::span<double> out) const override { copy_to(out); }
  std::span<const std::byte> bytes() const override {
    if constexpr (std::is_same_v<T, float>) return std::as_bytes(values_);
    return {};
  }

 private:
  template <class Out>
  void copy_to(std::span<Out> out) const {
    std::transform(values_.begin(), values_.end(), out.begin(), [](T v) { return static_cast<Out>(v); });
  }
  std::span<const T> values_;
};

inline std::size_t number_of_values(const std::vector<std::size_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

}  // namespace detail

/// Parameters begin on cache lines.
template <trainable_backend Backend>
std::size_t trainable_resnet_v2<Backend>::padded(std::size_t size) {
  constexpr std::size_t line = 64 / sizeof(T);
  return (size + line - 1) / line * line;
}

template <trainable_backend Backend>
trainable_resnet_v2<Backend>::trainable_resnet_v2(const resnet_config& config,
                                                  const std::vector<named_tensor>& tensors) {
  const std::vector<named_tensor> given = bit::network(config, tensors).parameters();
  std::size_t total = 0;
  for (const named_tensor& t : given) total += padded(detail::number_of_values(t.shape));
  values_ = detail::aligned_buffer<T>(total);
  std::vector<named_tensor> present;
  T* next = values_.data();
  for (const named_tensor& t : given) {
    const std::span<T> value{next, detail::number_of_values(t.shape)};
    next += padded(value.size());
    t.data->read(value);
    t.data->release();
    parameters_.push_back({t.name, t.shape, value, {}});
    present.push_back({t.name, t.shape, std::make_shared<detail::present_values<T>>(value)});
  }
  place_gradients();
  net_ = std::make_unique<bit::network>(config, present);
  weights_ =
      std::make_shared<typename training_of<Backend>::weights>(std::span<const trainable_parameter<T>>(parameters_));
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::place_gradients() {
  std::size_t total = 0;
  for (const auto& p : parameters_) total += options_.frozen.contains(p.name) ? 0 : padded(p.value.size());
  gradients_ = {};  // before the new ones, not beside them
  // A model is made before it is told what learns. Until the first step its gradients take no memory: written, they were
  // 95 MB of R50x1 more than a step that trains the head, in either dtype.
  gradients_ = detail::aligned_buffer<T>::zeros(total);
  T* next = gradients_.data();
  for (auto& p : parameters_) {
    p.gradient = {};
    if (options_.frozen.contains(p.name)) continue;
    p.gradient = {next, p.value.size()};
    next += padded(p.value.size());
  }
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::set_training(const training_options& options) {
  for (const std::string& name : options.frozen)
    if (std::none_of(parameters_.begin(), parameters_.end(), [&](const auto& p) { return p.name == name; }))
      throw config_error("[trainable] expected frozen parameters out of this model's, got \"" + name + "\"");
  if (options == options_) return;
  const bool moves = options.frozen != options_.frozen;
  options_ = options;
  plans_.clear();  // packed forms stay: both ways of recomputation read the same
  if (!moves) return;
  release();
  place_gradients();
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::release() {
  plans_.clear();
  memory_ = nullptr;
  memory_bytes_ = 0;
  weights_ =
      std::make_shared<typename training_of<Backend>::weights>(std::span<const trainable_parameter<T>>(parameters_));
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::zero_gradients() {
  std::fill_n(gradients_.data(), gradients_.size(), T(0));
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
  std::vector<named_tensor> tensors;
  std::vector<trainable_parameter<T>> parameters;
  std::size_t largest = 0;
  for (const tensor_spec& spec : tensor_specs(config)) {
    tensors.push_back({spec.name, spec.shape, nullptr});
    largest = std::max(largest, detail::number_of_values(spec.shape));
  }
  // Plans ask their constants for the forms that they read. Nothing is packed before the first step, and memory that
  // nobody touches takes none.
  const detail::aligned_buffer<T> untouched(largest);
  training_memory m;
  for (const named_tensor& t : tensors) {
    const std::span<T> room{untouched.data(), detail::number_of_values(t.shape)};
    parameters.push_back({t.name, t.shape, room, room});
    m.values += room.size_bytes();
    if (!options.frozen.contains(t.name)) m.gradients += room.size_bytes();
  }
  const bit::network net(config, tensors);
  const auto weights =
      std::make_shared<typename training_of<Backend>::weights>(std::span<const trainable_parameter<T>>(parameters));
  const plan_type step(emit(net, images, pass::training, options), weights);
  m.arena = step.memory().total;
  m.scratch = step.workspace_bytes(threads) - m.arena;
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
double trainable_resnet_v2<Backend>::accumulate(const image_view<T>& images, const loss_function<T>& loss, double scale,
                                                std::span<const named_tap<T>> taps, const run_options& options) {
  return accumulate(pass::training, images, loss, scale, taps, options);
}

template <trainable_backend Backend>
double trainable_resnet_v2<Backend>::accumulate_head(const image_view<T>& features, const loss_function<T>& loss,
                                                     double scale, const run_options& options) {
  return accumulate(pass::head_training, features, loss, scale, {}, options);
}

template <trainable_backend Backend>
double trainable_resnet_v2<Backend>::accumulate(pass what, const image_view<T>& images, const loss_function<T>& loss,
                                                double scale, std::span<const named_tap<T>> taps, run_options options) {
  const std::size_t n = images.dims.n, classes = config().num_classes;
  if (n == 0) throw shape_error("[trainable] expected at least one image, got " + to_string(images.dims));
  options.threads = Backend::threads(options.threads);
  planned& found = find_plan(images.dims, what, taps);
  const std::vector<gradient_tap<T>> wanted = detail::find_taps<T>(taps, found.tapped, found.tap_dims);
  plan_type& plan = *found.plan;
  workspace& memory = memory_for(plan, options.threads);
  logits_.resize(n * classes);
  dlogits_.resize(logits_.size());
  if (!plan.forward(images, logits_.data(), memory, options)) throw interrupted_error("[trainable] interrupted");
  const double value = loss(logits_, dlogits_, n, classes);
  if (!plan.backward(images, dlogits_.data(), scale, wanted, memory, options))
    throw interrupted_error("[trainable] interrupted");
  return value;
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::run_forward(pass what, const image_view<T>& images, T* out, run_options options) {
  plan_type& plan = *find_plan(images.dims, what).plan;
  if (images.dims.n == 0) return;
  options.threads = Backend::threads(options.threads);
  if (!plan.forward(images, out, memory_for(plan, options.threads), options))
    throw interrupted_error("[trainable] interrupted");
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

}  // namespace bit::inline v0
