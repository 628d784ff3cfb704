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
  const auto size_of = [](const named_tensor& t) {
    return std::accumulate(t.shape.begin(), t.shape.end(), std::size_t{1}, std::multiplies<>());
  };
  std::size_t total = 0;
  for (const named_tensor& t : given) total += padded(size_of(t));
  values_ = detail::aligned_buffer<T>(total);
  std::vector<named_tensor> present;
  T* next = values_.data();
  for (const named_tensor& t : given) {
    const std::span<T> value{next, size_of(t)};
    next += padded(value.size());
    t.data->read(value);
    t.data->release();
    parameters_.push_back({t.name, t.shape, value, {}});
    present.push_back({t.name, t.shape, std::make_shared<detail::present_values<T>>(value)});
  }
  place_gradients();
  net_ = std::make_unique<bit::network>(config, present);
  constants_ =
      std::make_shared<typename training_of<Backend>::constants>(std::span<const trainable_parameter<T>>(parameters_));
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::place_gradients() {
  std::size_t total = 0;
  for (const auto& p : parameters_) total += options_.frozen.contains(p.name) ? 0 : padded(p.value.size());
  gradients_ = {};  // before the new ones, not beside them
  gradients_ = detail::aligned_buffer<T>(total);
  T* next = gradients_.data();
  for (auto& p : parameters_) {
    p.gradient = {};
    if (options_.frozen.contains(p.name)) continue;
    p.gradient = {next, p.value.size()};
    next += padded(p.value.size());
  }
  zero_gradients();
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::set_training(const training_options& options) {
  for (const std::string& name : options.frozen)
    if (std::none_of(parameters_.begin(), parameters_.end(), [&](const auto& p) { return p.name == name; }))
      throw config_error("[trainable] expected frozen parameters out of this model's, got \"" + name + "\"");
  if (options == options_) return;
  const bool moves = options.frozen != options_.frozen;
  options_ = options;
  release();
  if (moves) place_gradients();
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::release() {
  plans_.clear();
  memory_ = nullptr;
  memory_bytes_ = 0;
  constants_ =
      std::make_shared<typename training_of<Backend>::constants>(std::span<const trainable_parameter<T>>(parameters_));
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::zero_gradients() {
  std::fill_n(gradients_.data(), gradients_.size(), T(0));
}

template <trainable_backend Backend>
training_program trainable_resnet_v2<Backend>::emit(const dims4& images, pass what,
                                                    const training_options& options) const {
  const std::string output = config().num_classes > 0 ? "logits" : "pooled";
  program forward = net_->emit(images, {&output, 1});
  if (what == pass::logits) return {.forward = std::move(forward)};
  return with_adjoint(std::move(forward), options, what == pass::training_with_image);
}

template <trainable_backend Backend>
auto trainable_resnet_v2<Backend>::find_plan(const dims4& images, pass what) -> plan_type& {
  const auto found = std::find_if(plans_.begin(), plans_.end(),
                                  [&](const planned& p) { return p.dims == images && p.what == what; });
  if (found != plans_.end()) {
    std::rotate(found, found + 1, plans_.end());
    return *plans_.back().plan;
  }
  auto plan = std::make_unique<plan_type>(emit(images, what, options_), constants_);
  if (plans_.size() == max_plans) plans_.erase(plans_.begin());
  plans_.push_back({images, what, std::move(plan)});
  return *plans_.back().plan;
}

template <trainable_backend Backend>
training_memory trainable_resnet_v2<Backend>::memory(const dims4& images, const training_options& options,
                                                     std::size_t threads, const dims4& evaluated) const {
  threads = Backend::threads(threads);
  // Plans ask their constants for the forms that they read; nothing is packed before the first step.
  const auto constants =
      std::make_shared<typename training_of<Backend>::constants>(std::span<const trainable_parameter<T>>(parameters_));
  const plan_type step(emit(images, pass::training, options), constants);
  training_memory m;
  m.arena = step.memory().total;
  m.scratch = step.workspace_bytes(threads) - m.arena;
  if (evaluated.n > 0) {
    const plan_type logits(emit(evaluated, pass::logits, options), constants);
    const std::size_t all = std::max(m.arena + m.scratch, logits.workspace_bytes(threads));
    m.arena = std::max(m.arena, logits.memory().total);
    m.scratch = all - m.arena;
  }
  m.packed = constants->bytes(threads);
  for (const auto& p : parameters_) {
    m.values += p.value.size() * sizeof(T);
    if (!options.frozen.contains(p.name)) m.gradients += p.value.size() * sizeof(T);
  }
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
                                                std::span<T> image_gradient, const run_options& options) {
  const dims4& d = images.dims;
  if (d.n == 0) throw shape_error("[trainable] expected at least one image, got " + to_string(d));
  if (!image_gradient.empty() && image_gradient.size() != d.size())
    throw shape_error("[trainable] expected image_gradient to be empty or to hold " + std::to_string(d.size()) +
                      " values for images " + to_string(d) + ", got " + std::to_string(image_gradient.size()));
  run_options chosen = options;
  chosen.threads = Backend::threads(options.threads);
  plan_type& plan = find_plan(d, image_gradient.empty() ? pass::training : pass::training_with_image);
  workspace& memory = memory_for(plan, chosen.threads);
  logits_.resize(d.n * config().num_classes);
  dlogits_.resize(logits_.size());
  if (!plan.forward(images, logits_.data(), memory, chosen)) throw interrupted_error("[trainable] interrupted");
  const double value = loss(logits_, dlogits_, d.n, config().num_classes);
  if (!plan.backward(images, dlogits_.data(), scale, image_gradient, memory, chosen))
    throw interrupted_error("[trainable] interrupted");
  return value;
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::logits(const image_view<T>& images, T* out, const run_options& options) {
  plan_type& plan = find_plan(images.dims, pass::logits);
  if (images.dims.n == 0) return;
  run_options chosen = options;
  chosen.threads = Backend::threads(options.threads);
  if (!plan.forward(images, out, memory_for(plan, chosen.threads), chosen))
    throw interrupted_error("[trainable] interrupted");
}

}  // namespace bit::inline v0
