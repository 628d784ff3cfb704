// Bodies of model/trainable.hpp.
#pragma once

#include <algorithm>
#include <bit/model/trainable.hpp>
#include <cstring>
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

template <trainable_backend Backend>
trainable_resnet_v2<Backend>::trainable_resnet_v2(const resnet_config& config,
                                                  const std::vector<named_tensor>& tensors) {
  const std::vector<named_tensor> given = bit::network(config, tensors).parameters();
  constexpr std::size_t line = 64 / sizeof(T);  // parameters begin on cache lines
  std::vector<std::size_t> offsets;
  std::size_t total = 0;
  for (const named_tensor& t : given) {
    offsets.push_back(total);
    std::size_t size = 1;
    for (const std::size_t d : t.shape) size *= d;
    total += (size + line - 1) / line * line;
  }
  values_ = detail::aligned_buffer<T>(total);
  gradients_ = detail::aligned_buffer<T>(total);
  zero_gradients();
  std::vector<named_tensor> present;
  for (std::size_t i = 0; i < given.size(); ++i) {
    std::size_t size = 1;
    for (const std::size_t d : given[i].shape) size *= d;
    const std::span<T> value{values_.data() + offsets[i], size};
    given[i].data->read(value);
    given[i].data->release();
    parameters_.push_back({given[i].name, given[i].shape, value, std::span<T>(gradients_.data() + offsets[i], size)});
    present.push_back({given[i].name, given[i].shape, std::make_shared<detail::present_values<T>>(value)});
  }
  net_ = std::make_unique<bit::network>(config, present);
  constants_ =
      std::make_shared<typename training_of<Backend>::constants>(std::span<const trainable_parameter<T>>(parameters_));
}

template <trainable_backend Backend>
void trainable_resnet_v2<Backend>::zero_gradients() {
  std::fill_n(gradients_.data(), gradients_.size(), T(0));
}

template <trainable_backend Backend>
auto trainable_resnet_v2<Backend>::find_plan(const dims4& images, bool training) -> plan_type& {
  const auto found = std::find_if(plans_.begin(), plans_.end(),
                                  [&](const planned& p) { return p.dims == images && p.training == training; });
  if (found != plans_.end()) {
    std::rotate(found, found + 1, plans_.end());
    return *plans_.back().plan;
  }
  const std::string output = config().num_classes > 0 ? "logits" : "pooled";
  program forward = net_->emit(images, {&output, 1});
  const training_program p = training ? with_adjoint(std::move(forward)) : training_program{std::move(forward), {}, {}};
  auto plan = std::make_unique<plan_type>(p, constants_);
  if (plans_.size() == max_plans) plans_.erase(plans_.begin());
  plans_.push_back({images, training, std::move(plan)});
  return *plans_.back().plan;
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
  plan_type& plan = find_plan(d, true);
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
  plan_type& plan = find_plan(images.dims, false);
  if (images.dims.n == 0) return;
  run_options chosen = options;
  chosen.threads = Backend::threads(options.threads);
  if (!plan.forward(images, out, memory_for(plan, chosen.threads), chosen))
    throw interrupted_error("[trainable] interrupted");
}

}  // namespace bit::inline v0
