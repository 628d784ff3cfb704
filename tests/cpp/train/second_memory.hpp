// SPDX-License-Identifier: Apache-2.0
// A backend that trains in a memory of its own: parameters, gradients, optimizer state, maps and logits lie on pages that
// nothing can touch but while a call of the backend runs. It computes with the CPU's operations, so its results are those
// of cpu<float> to the bit, and code that reaches past the interface ends the process. One thread at a time uses it.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit/backend/cpu/training.hpp>
#include <bit/error.hpp>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace second_memory {

/// All pages of the second memory, and how many calls of the backend are running.
struct space {
  std::vector<std::pair<std::byte*, std::size_t>> regions;
  int calls = 0;

  static space& all() {
    static space one;
    return one;
  }
  static void protect(std::byte* data, std::size_t bytes, bool open) {
    if (bytes != 0 && ::mprotect(data, bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
      throw bit::device_error("[second memory] mprotect failed");
  }
  void add(std::byte* data, std::size_t bytes) {
    regions.emplace_back(data, bytes);
    protect(data, bytes, calls > 0);
  }
  void remove(std::byte* data) {
    std::erase_if(regions, [&](const auto& r) { return r.first == data; });
  }
  bool holds(const void* data) const {
    const auto* at = static_cast<const std::byte*>(data);
    return std::any_of(regions.begin(), regions.end(),
                       [&](const auto& r) { return at >= r.first && at < r.first + r.second; });
  }
};

/// A call of the backend: the pages are open while it lives.
class call {
 public:
  call() { set(space::all().calls++ == 0, true); }
  ~call() { set(--space::all().calls == 0, false); }
  call(const call&) = delete;
  call& operator=(const call&) = delete;

 private:
  static void set(bool outermost, bool open) {
    if (!outermost) return;
    for (const auto& [data, bytes] : space::all().regions) space::protect(data, bytes, open);
  }
};

/// Pages of the second memory, all zeros.
class pages {
 public:
  explicit pages(std::size_t values) : bytes_((std::max<std::size_t>(values, 1) * sizeof(float) + 4095) / 4096 * 4096) {
    void* memory = ::mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(memory);
    space::all().add(data_, bytes_);
  }
  ~pages() {
    space::all().remove(data_);
    ::munmap(data_, bytes_);
  }
  pages(const pages&) = delete;
  pages& operator=(const pages&) = delete;
  float* data() const { return reinterpret_cast<float*>(data_); }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_;
};

inline void require(const void* data, const char* what) {
  if (!space::all().holds(data))
    throw bit::device_error(std::string("[second memory] expected ") + what +
                            " in the backend's memory, got a host pointer");
}

class state final : public bit::optimizer_state<float> {
 public:
  state(std::span<const bit::tensor_spec> specs, std::size_t buffers, std::span<const bit::parameter_rule> rules) {
    std::size_t total = 0;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      sizes_.push_back(specs[i].size());
      places_.push_back(total);
      if (!rules[i].frozen) total += buffers * specs[i].size();
    }
    buffers_ = buffers;
    memory_ = std::make_unique<pages>(total);
  }
  float* at(std::size_t buffer, std::size_t parameter) const {
    return buffer < buffers_ ? memory_->data() + places_[parameter] + buffer * sizes_[parameter] : nullptr;
  }
  void read(std::size_t buffer, std::size_t parameter, std::span<float> out) const override {
    const call open;
    std::copy_n(at(buffer, parameter), out.size(), out.begin());
  }
  void write(std::size_t buffer, std::size_t parameter, std::span<const float> in) override {
    const call open;
    std::copy(in.begin(), in.end(), at(buffer, parameter));
  }

 private:
  std::vector<std::size_t> sizes_, places_;
  std::size_t buffers_ = 0;
  std::unique_ptr<pages> memory_;
};

class parameters final : public bit::trainable_parameters<float> {
 public:
  explicit parameters(std::span<const bit::named_tensor> tensors) : parameters(specs_of(tensors)) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      std::vector<float> staged(specs()[i].size());
      tensors[i].data->read(std::span(staged));
      copy_in(bit::parameter_array::values, i, staged);
    }
  }
  static std::shared_ptr<parameters> without_memory(const std::vector<bit::tensor_spec>& specs) {
    return std::shared_ptr<parameters>(new parameters(specs));  // pages that are never touched take no memory
  }
  std::span<const bit::trainable_parameter<float>> views() const { return views_; }
  void zero_gradients() override {
    const call open;
    for (const auto& p : views_) std::fill(p.gradient.begin(), p.gradient.end(), 0.0f);
  }

 private:
  explicit parameters(const std::vector<bit::tensor_spec>& all) : bit::trainable_parameters<float>(all) {
    std::size_t total = 0;
    for (const auto& s : specs()) total += s.size();
    values_ = std::make_unique<pages>(total);
    const float* next = values_->data();
    for (const auto& s : specs()) {
      views_.push_back({s.name, s.shape, {next, s.size()}, {}});
      next += s.size();
    }
    place_gradients();
  }
  static std::vector<bit::tensor_spec> specs_of(std::span<const bit::named_tensor> tensors) {
    std::vector<bit::tensor_spec> specs;
    for (const auto& t : tensors) specs.push_back({t.name, t.shape});
    return specs;
  }
  float* values_of(std::size_t i) const { return values_->data() + (views_[i].value.data() - values_->data()); }

  void copy_out(bit::parameter_array what, std::size_t i, std::span<float> out) const override {
    const call open;
    const std::span<const float> from =
        what == bit::parameter_array::values ? views_[i].value : std::span<const float>(views_[i].gradient);
    std::copy(from.begin(), from.end(), out.begin());
  }
  void copy_in(bit::parameter_array what, std::size_t i, std::span<const float> in) override {
    const call open;
    std::copy(in.begin(), in.end(), what == bit::parameter_array::values ? values_of(i) : views_[i].gradient.data());
  }
  void place_gradients() override {
    std::size_t total = 0;
    for (std::size_t i = 0; i < views_.size(); ++i) total += learns(i) ? views_[i].value.size() : 0;
    gradients_ = std::make_unique<pages>(total);
    float* next = gradients_->data();
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const std::size_t size = learns(i) ? views_[i].value.size() : 0;
      views_[i].gradient = {next, size};
      next += size;
    }
  }
  std::unique_ptr<bit::optimizer_state<float>> new_state(std::size_t buffers,
                                                         std::span<const bit::parameter_rule> rules) const override {
    return std::make_unique<state>(specs(), buffers, rules);
  }
  std::vector<bit::detail::update_chunk<float>> chunks_of(std::span<const bit::parameter_rule> rules,
                                                          const state* own) const {
    std::vector<bit::detail::update_chunk<float>> chunks;
    constexpr std::size_t most = bit::detail::update_chunk_size;
    for (std::size_t i = 0; i < views_.size(); ++i) {
      if (rules[i].frozen || !learns(i)) continue;
      float* const first = own ? own->at(0, i) : nullptr;
      float* const second = own ? own->at(1, i) : nullptr;
      for (std::size_t at = 0; at < views_[i].value.size(); at += most)
        chunks.push_back({values_of(i) + at, views_[i].gradient.data() + at, first ? first + at : nullptr,
                          second ? second + at : nullptr, std::min(most, views_[i].value.size() - at),
                          rules[i].rate_scale, rules[i].weight_decay});
    }
    return chunks;
  }
  double squares(std::span<const bit::parameter_rule> rules, std::size_t threads) const override {
    const call open;
    const auto chunks = chunks_of(rules, nullptr);
    return bit::detail::sum_of_squares<float>(chunks, threads);
  }
  void apply(const bit::sgd_hyperparameters& how, std::span<const bit::parameter_rule> rules,
             bit::optimizer_state<float>& of, std::size_t threads) override {
    const call open;
    const auto chunks = chunks_of(rules, static_cast<state*>(&of));
    bit::detail::sgd_update<float>(chunks, how, threads);
  }
  void apply(const bit::adam_hyperparameters& how, std::span<const bit::parameter_rule> rules,
             bit::optimizer_state<float>& of, std::size_t threads) override {
    const call open;
    const auto chunks = chunks_of(rules, static_cast<state*>(&of));
    bit::detail::adam_update<float>(chunks, how, threads);
  }

  std::unique_ptr<pages> values_, gradients_;
  std::vector<bit::trainable_parameter<float>> views_;
};

class logits_memory {
 public:
  void resize(std::size_t n, std::size_t classes) {
    n_ = n;
    classes_ = classes;
    logits_ = std::make_unique<pages>(n * classes);
    gradient_ = std::make_unique<pages>(n * classes);
  }
  float* logits() { return logits_->data(); }
  double evaluate(const bit::loss& what, double weight) {
    const call open;
    return bit::evaluate_loss<float>(what, {logits_->data(), n_ * classes_}, {gradient_->data(), n_ * classes_}, n_,
                                     classes_, weight);
  }
  void read_logits(std::span<float> out) const {
    const call open;
    std::copy_n(logits_->data(), out.size(), out.begin());
  }
  void write_gradient(std::span<const float> in) {
    const call open;
    std::copy(in.begin(), in.end(), gradient_->data());
  }
  const float* gradient() const { return gradient_->data(); }

 private:
  std::unique_ptr<pages> logits_, gradient_;
  std::size_t n_ = 0, classes_ = 0;
};

/// Whole pages that the CPU's plan works in.
class workspace {
 public:
  explicit workspace(std::size_t bytes) : buffer((bytes + huge) / huge * huge) {
    space::all().add(buffer.data(), buffer.size());
  }
  ~workspace() {
    space::all().remove(buffer.data());
    space::protect(buffer.data(), buffer.size(), true);
  }
  workspace(const workspace&) = delete;
  workspace& operator=(const workspace&) = delete;

  static constexpr std::size_t huge = std::size_t{2} << 20;  // from here on aligned_buffer begins on a page
  bit::detail::aligned_buffer<std::byte> buffer;
};

class packed_weights : public bit::detail::cpu_training_weights<float> {
 public:
  explicit packed_weights(const std::shared_ptr<parameters>& of)
      : bit::detail::cpu_training_weights<float>(of->views(), of, bit::detail::default_instruction_set()) {}
};

class plan {
 public:
  plan(const bit::training_program& p, const std::shared_ptr<packed_weights>& c) : plan_(p, c) {}
  std::size_t workspace_bytes(std::size_t threads) const { return plan_.workspace_bytes(threads); }
  const bit::memory_plan& memory() const { return plan_.memory(); }
  bool forward(const bit::image_view<float>& image, float* logits, workspace& memory, const bit::run_options& options) {
    const call open;
    require(logits, "logits");
    image_ = std::make_unique<pages>(image.dims.size());  // the upload
    float* to = image_->data();
    for (std::size_t n = 0; n < image.dims.n; ++n)
      for (std::size_t c = 0; c < image.dims.c; ++c)
        for (std::size_t h = 0; h < image.dims.h; ++h)
          for (std::size_t w = 0; w < image.dims.w; ++w) *to++ = image.at(n, c, h, w);
    return plan_.forward(uploaded(image), logits, memory.buffer, options);
  }
  bool backward(const bit::image_view<float>& image, const float* dlogits, double scale,
                std::span<const bit::gradient_tap<float>> taps, workspace& memory, const bit::run_options& options) {
    const call open;
    require(dlogits, "the logits' gradient");
    return plan_.backward(uploaded(image), dlogits, scale, taps, memory.buffer, options);
  }

 private:
  bit::image_view<float> uploaded(const bit::image_view<float>& image) const {
    return bit::view_of(static_cast<const float*>(image_->data()), image.dims, bit::layout::nchw);
  }
  bit::detail::cpu_training_plan<float> plan_;
  std::unique_ptr<pages> image_;
};

/// The backend; inference is the CPU's.
struct backend : bit::cpu<float> {};

}  // namespace second_memory

namespace bit::inline BIT_ABI {

template <>
struct training_of<second_memory::backend> {
  using parameters = second_memory::parameters;
  using weights = second_memory::packed_weights;
  using logits = second_memory::logits_memory;
  using plan = second_memory::plan;
  using workspace = second_memory::workspace;
  static training_speed speed(const program&, const trainable_parameters<float>&, std::size_t) {
    return {0.5, 0.25, 0.125};
  }
};

static_assert(trainable_backend<second_memory::backend>);

}  // namespace bit::inline BIT_ABI
