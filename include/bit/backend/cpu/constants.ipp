// Bodies of backend/cpu/constants.hpp.
#pragma once

#include <omp.h>

#include <algorithm>
#include <bit/backend/cpu/constants.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/error.hpp>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace bit::inline v0 {
namespace detail {

/// Standardises (or copies) and packs panel `panel`; `values` may lie at any address.
template <class T, class Out>
void pack_panel(Out* out, const std::byte* values, const packing& how, std::size_t panel,
                const kernel_table<T>& kernels) {
  const std::size_t width = kernels.tile_columns, stride = how.columns * sizeof(float);
  const std::size_t first = panel * width, columns = std::min(width, how.columns - first);
  const std::size_t rows = how.taps * how.rows_per_tap;
  const std::byte* x = values + first * sizeof(float);
  alignas(64) double mean[64] = {}, scale[64], sums[64] = {}, squares[64] = {};
  for (double& s : scale) s = 1.0;
  if (how.eps > 0) {
    // Two passes: the mean first, then squares about it, with what the first mean missed taken off.
    kernels.column_sums(sums, squares, mean, x, stride, rows, columns);
    for (std::size_t c = 0; c < width; ++c) {
      mean[c] = sums[c] / static_cast<double>(rows);
      sums[c] = squares[c] = 0;
    }
    kernels.column_sums(sums, squares, mean, x, stride, rows, columns);
    for (std::size_t c = 0; c < columns; ++c) {
      const double missed = sums[c] / static_cast<double>(rows);
      mean[c] += missed;
      const double variance = squares[c] / static_cast<double>(rows) - missed * missed;
      scale[c] = 1.0 / std::sqrt(std::max(variance, 0.0) + how.eps);
    }
  }
  for (std::size_t tap = 0; tap < how.taps; ++tap) {
    Out* to = out + tap * how.padded_rows_per_tap * width;
    std::memset(to, 0, how.padded_rows_per_tap * width * sizeof(Out));
    const std::byte* rows_of_tap = x + tap * how.rows_per_tap * stride;
    if constexpr (std::is_same_v<Out, T>)
      kernels.scale_columns(to, rows_of_tap, stride, how.rows_per_tap, columns, mean, scale);
    else
      kernels.scale_columns_float(to, rows_of_tap, stride, how.rows_per_tap, columns, mean, scale);
  }
}

/// Room for `products` matrices (taps, or a Winograd form's products) of numbers of type Out.
template <class Out>
packed_constant make_room(const packing& how, std::size_t products, std::size_t columns) {
  packed_constant packed;
  packed.panel_size = products * how.padded_rows_per_tap * columns;
  packed.panels = (how.columns + columns - 1) / columns;
  packed.data = aligned_buffer<std::byte>(packed.panel_size * packed.panels * sizeof(Out));
  return packed;
}

/// Calls use(panel) for every panel, shared by all threads.
template <class Use>
void for_each_panel(const packed_constant& packed, Use use) {
  const auto panels = static_cast<std::ptrdiff_t>(packed.panels);
#pragma omp parallel for schedule(static) num_threads(region_threads(usable_threads()))
  for (std::ptrdiff_t panel = 0; panel < panels; ++panel) use(static_cast<std::size_t>(panel));
}

/// A tensor's values, in place or in a copy.
class tensor_values {
 public:
  tensor_values(const named_tensor& tensor, std::size_t size) : tensor_(tensor), values_(tensor.data->bytes()) {
    if (!values_.empty()) return;
    copy_ = aligned_buffer<float>(size);
    tensor.data->read(std::span<float>(copy_.data(), copy_.size()));
    values_ = std::as_bytes(std::span<const float>(copy_.data(), copy_.size()));
  }
  ~tensor_values() { tensor_.data->release(); }
  tensor_values(const tensor_values&) = delete;
  tensor_values& operator=(const tensor_values&) = delete;

  const std::byte* data() const { return values_.data(); }

 private:
  const named_tensor& tensor_;
  std::span<const std::byte> values_;
  aligned_buffer<float> copy_;
};

/// Out is T for the tile's kernels and float for the rest.
template <class T, class Out>
packed_constant pack(const named_tensor& tensor, const packing& how, const kernel_table<T>& kernels) {
  packed_constant packed = make_room<Out>(how, how.taps, kernels.tile_columns);
  const tensor_values values(tensor, how.taps * how.rows_per_tap * how.columns);
  for_each_panel(packed, [&](std::size_t panel) {
    pack_panel<T>(reinterpret_cast<Out*>(packed.data.data()) + panel * packed.panel_size, values.data(), how, panel,
                  kernels);
  });
  return packed;
}

/// A standardised panel [9][k][tile_columns] in a form.
template <class T>
void pack_form(T* out, const float* taps, const packing& how, kernel_form form, const kernel_table<T>& kernels) {
  const std::size_t rows = how.padded_rows_per_tap, columns = kernels.tile_columns;
  if (form != kernel_form::direct) {
    const auto& winograd = form == kernel_form::winograd_2x2 ? kernels.winograd_2x2 : kernels.winograd_4x4;
    winograd.kernel(out, rows * columns, taps, rows);
  } else if constexpr (std::is_same_v<T, float>) {
    std::copy_n(taps, how.taps * rows * columns, out);
  } else {
    alignas(64) double zero[64] = {}, one[64];
    std::fill_n(one, 64, 1.0);
    kernels.scale_columns(out, reinterpret_cast<const std::byte*>(taps), columns * sizeof(float), how.taps * rows,
                          columns, zero, one);
  }
}

/// A form of a 3x3 kernel, from `standardised` if that is not null, else from the tensor.
template <class T>
packed_constant pack_form(const named_tensor& tensor, const packed_constant* standardised, const packing& how,
                          kernel_form form, const kernel_table<T>& kernels) {
  const std::size_t t = form == kernel_form::winograd_2x2 ? 4 : 6, columns = kernels.tile_columns;
  packed_constant packed = make_room<T>(how, form == kernel_form::direct ? how.taps : t * t, columns);
  const auto out = [&](std::size_t panel) {
    return reinterpret_cast<T*>(packed.data.data()) + panel * packed.panel_size;
  };
  if (standardised) {
    for_each_panel(packed, [&](std::size_t panel) {
      pack_form(out(panel), standardised->panel<float>(panel), how, form, kernels);
    });
    return packed;
  }
  const tensor_values values(tensor, how.taps * how.rows_per_tap * how.columns);
  const std::size_t size = how.taps * how.padded_rows_per_tap * columns;
  const aligned_buffer<float> taps(size * usable_threads());
  for_each_panel(packed, [&](std::size_t panel) {
    float* own = taps.data() + size * static_cast<std::size_t>(omp_get_thread_num());
    pack_panel<T>(own, values.data(), how, panel, kernels);
    pack_form(out(panel), own, how, form, kernels);
  });
  return packed;
}

/// Chooses the packing of every constant by the step that reads it.
template <class T>
struct constant_packer {
  const program& p;
  const kernel_table<T>& kernels;
  bool winograd;  ///< may be chosen where it applies
  std::unordered_map<std::string, typename cpu_constants<T>::entry>& entries;

  template <class Out>
  void add(constant_id id, const packing& how, bool several_forms = false) const {
    const named_tensor& tensor = p[id];
    const auto [at, added] = entries.try_emplace(tensor.name);
    if (!added) return;
    at->second.how = how;
    at->second.several_forms = several_forms;
    if (several_forms && !tensor.data->bytes().empty())
      tensor.data->release();
    else
      at->second.held = std::make_shared<const packed_constant>(pack<T, Out>(tensor, how, kernels));
  }
  void vector(constant_id id) const {
    const std::size_t size = p[id].shape.back();
    add<float>(id, {1, 1, 1, size, 0});
  }
  void kernel(constant_id id, double eps) const {
    const auto& s = p[id].shape;  // HWIO
    add<T>(id, {s[0] * s[1], s[2], blocks_of(s[2]) * block, s[3], eps});
  }
  void kernel_of_several_forms(const conv_source& c) const {
    const auto& s = p[c.kernel].shape;
    add<float>(c.kernel, {s[0] * s[1], s[2], blocks_of(s[2]) * block, s[3], c.weight_eps}, true);
  }
  void norm(const norm_relu& n) const {
    vector(n.gamma);
    vector(n.beta);
  }
  void source(const conv_source& s) const {
    kernel(s.kernel, s.weight_eps);
    norm(s.input);
  }

  void operator()(const stem_step& s) const {
    const auto& shape = p[s.kernel].shape;
    const std::size_t rows = shape[0] * shape[1] * shape[2];
    add<float>(s.kernel, {1, rows, rows, shape[3], s.weight_eps});
  }
  void operator()(const conv_step& s) const {
    if (winograd && winograd_applies(s)) kernel_of_several_forms(s.main);
    source(s.main);
    if (s.projection) source(*s.projection);
  }
  void operator()(const pool_step& s) const { norm(s.input); }
  void operator()(const mean_step&) const {}
  void operator()(const head_step& s) const {
    kernel(s.kernel, 0);
    vector(s.bias);
  }
};

template <class T>
cpu_constants<T>::cpu_constants(const program& p, const isa_kernels& isa, const freeze_options& options)
    : isa_(&isa), options_(options) {
  for (const step& s : p.steps)
    std::visit(constant_packer<T>{p, kernels(), options.algorithm != algorithm::direct, entries_}, s);
}

template <class T>
std::shared_ptr<const packed_constant> cpu_constants<T>::at(const named_tensor& tensor, kernel_form form) const {
  const auto found = entries_.find(tensor.name);
  if (found == entries_.end())
    throw config_error("[freeze] expected the constants of the frozen model, got a program that also reads " +
                       tensor.name);
  entry& e = found->second;
  if (!e.several_forms) return e.held;
  const std::lock_guard lock(mutex_);
  auto& place = e.forms[static_cast<std::size_t>(form)];
  auto packed = place.lock();
  if (!packed) {
    packed = std::make_shared<const packed_constant>(pack_form(tensor, e.held.get(), e.how, form, kernels()));
    place = packed;
  }
  e.held = nullptr;
  return packed;
}

template <class T>
std::size_t cpu_constants<T>::bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& [name, e] : entries_) {
    if (e.held) total += e.held->data.size();
    for (const auto& form : e.forms)
      if (const auto alive = form.lock()) total += alive->data.size();
  }
  return total;
}

}  // namespace detail
}  // namespace bit::inline v0
