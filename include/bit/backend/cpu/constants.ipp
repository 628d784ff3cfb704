// Bodies of backend/cpu/constants.hpp.
#pragma once

#include <bit/backend/cpu/constants.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/error.hpp>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace bit::inline v0 {
namespace detail {

/// How rows of the stored kernel (rows, cout) become rows of the packed one.
struct packing {
  std::size_t taps, rows_per_tap, padded_rows_per_tap;
  std::size_t columns;
  double eps;  ///< of weight standardisation; 0: pack the values as they are
};

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

/// Out is T for the tile's kernels and float for the rest.
template <class T, class Out>
packed_constant pack(const named_tensor& tensor, const packing& how, const kernel_table<T>& kernels) {
  packed_constant packed;
  packed.panel_size = how.taps * how.padded_rows_per_tap * kernels.tile_columns;
  packed.panels = (how.columns + kernels.tile_columns - 1) / kernels.tile_columns;
  packed.data = aligned_buffer<std::byte>(packed.panel_size * packed.panels * sizeof(Out));
  std::span<const std::byte> values = tensor.data->bytes();
  aligned_buffer<float> copy;
  if (values.empty()) {
    copy = aligned_buffer<float>(how.taps * how.rows_per_tap * how.columns);
    tensor.data->read(std::span<float>(copy.data(), copy.size()));
    values = std::as_bytes(std::span<const float>(copy.data(), copy.size()));
  }
  const auto panels = static_cast<std::ptrdiff_t>(packed.panels);
#pragma omp parallel for schedule(static) num_threads(region_threads(usable_threads()))
  for (std::ptrdiff_t panel = 0; panel < panels; ++panel)
    pack_panel<T>(reinterpret_cast<Out*>(packed.data.data()) + static_cast<std::size_t>(panel) * packed.panel_size,
                  values.data(), how, static_cast<std::size_t>(panel), kernels);
  tensor.data->release();
  return packed;
}

/// Chooses the packing of every constant by the step that reads it.
template <class T>
struct constant_packer {
  const program& p;
  const kernel_table<T>& kernels;
  std::unordered_map<std::string, packed_constant>& packed;

  template <class Out>
  void add(constant_id id, const packing& how) const {
    if (!packed.contains(p[id].name)) packed.emplace(p[id].name, pack<T, Out>(p[id], how, kernels));
  }
  void vector(constant_id id) const {
    const std::size_t size = p[id].shape.back();
    add<float>(id, {1, 1, 1, size, 0});
  }
  void kernel(constant_id id, double eps) const {
    const auto& s = p[id].shape;  // HWIO
    add<T>(id, {s[0] * s[1], s[2], blocks_of(s[2]) * block, s[3], eps});
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
  for (const step& s : p.steps) std::visit(constant_packer<T>{p, kernels(), packed_}, s);
}

template <class T>
const packed_constant& cpu_constants<T>::at(const named_tensor& tensor) const {
  const auto found = packed_.find(tensor.name);
  if (found == packed_.end())
    throw config_error("[freeze] expected the constants of the frozen model, got a program that also reads " +
                       tensor.name);
  return found->second;
}

template <class T>
std::size_t cpu_constants<T>::bytes() const {
  std::size_t total = 0;
  for (const auto& [name, constant] : packed_) total += constant.data.size();
  return total;
}

}  // namespace detail
}  // namespace bit::inline v0
