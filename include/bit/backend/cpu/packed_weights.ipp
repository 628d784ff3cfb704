// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/packed_weights.hpp.
#pragma once

#include <omp.h>

#include <algorithm>
#include <bit/backend/cpu/packed_weights.hpp>
#include <bit/backend/cpu/read_weights.hpp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/error.hpp>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

namespace bit::inline BIT_ABI {
namespace detail {

/// Computes the mean and 1/sqrt(variance + eps) of each of `columns` columns of a matrix of floats whose `rows` rows
/// lie `stride` bytes apart, at any address.
template <class F>
void measure_columns(double* mean, double* scale, const std::byte* x, std::size_t stride, std::size_t rows,
                     std::size_t columns, double eps, const microkernel_table<F>& microkernels) {
  alignas(64) double sums[64] = {}, squares[64] = {};
  // One pass sums the deviations from the first row's value and their squares. That value is one of the column's, so
  // its squared distance from the mean is at most `rows` times the variance: subtracting it at the end cancels no more
  // than the digits of `rows`, of a double's sixteen.
  for (std::size_t c = 0; c < columns; ++c) {
    float first_value;
    std::memcpy(&first_value, x + c * sizeof(float), sizeof first_value);
    mean[c] = first_value;
  }
  microkernels.column_sums(sums, squares, mean, x, stride, rows, columns);
  for (std::size_t c = 0; c < columns; ++c) {
    const double missed = sums[c] / static_cast<double>(rows);
    mean[c] += missed;
    const double variance = squares[c] / static_cast<double>(rows) - missed * missed;
    scale[c] = 1.0 / std::sqrt(std::max(variance, 0.0) + eps);
  }
}

/// Packs panel `panel` of a kernel as (value - mean)·scale, with a mean and a scale for each column of the panel.
/// `values` is the whole kernel, at any address.
template <class F, class Out>
void pack_panel(Out* out, const std::byte* values, const packing& how, std::size_t panel,
                const microkernel_table<F>& microkernels, const double* mean, const double* scale) {
  const std::size_t width = microkernels.tile_columns, stride = how.columns * sizeof(float);
  const std::size_t first = panel * width, columns = std::min(width, how.columns - first);
  const std::byte* x = values + first * sizeof(float);
  for (std::size_t tap = 0; tap < how.taps; ++tap) {
    Out* to = out + tap * how.padded_rows_per_tap * width;
    if (how.padded_rows_per_tap != how.rows_per_tap) std::memset(to, 0, how.padded_rows_per_tap * width * sizeof(Out));
    const std::byte* rows_of_tap = x + tap * how.rows_per_tap * stride;
    if constexpr (std::is_same_v<Out, weight_of<F>>)
      microkernels.scale_columns(to, rows_of_tap, stride, how.rows_per_tap, columns, mean, scale);
    else
      microkernels.scale_columns_float(to, rows_of_tap, stride, how.rows_per_tap, columns, mean, scale);
  }
}

/// Standardises panel `panel` of a kernel, or copies it if how.eps is 0, and packs it. `values` is the whole kernel, at
/// any address.
template <class F, class Out>
void pack_panel(Out* out, const std::byte* values, const packing& how, std::size_t panel,
                const microkernel_table<F>& microkernels) {
  const std::size_t first = panel * microkernels.tile_columns,
                    columns = std::min(microkernels.tile_columns, how.columns - first);
  alignas(64) double mean[64] = {}, scale[64];
  for (double& s : scale) s = 1.0;
  if (how.eps > 0)
    measure_columns(mean, scale, values + first * sizeof(float), how.columns * sizeof(float),
                    how.taps * how.rows_per_tap, columns, how.eps, microkernels);
  pack_panel<F>(out, values, how, panel, microkernels, mean, scale);
}

/// Allocates a packed kernel of `products` matrices (taps, or the t·t matrices of a Winograd layout) of type Out.
template <class Out>
packed_weights make_room(const packing& how, std::size_t products, std::size_t columns) {
  packed_weights packed;
  packed.panel_size = products * how.padded_rows_per_tap * columns;
  packed.panels = (how.columns + columns - 1) / columns;
  packed.data = aligned_buffer<std::byte>(packed.panel_size * packed.panels * sizeof(Out));
  return packed;
}

/// Calls use(panel) for every panel; the panels are divided among all threads.
template <class Use>
void for_each_panel(const packed_weights& packed, Use use) {
  const auto panels = static_cast<std::ptrdiff_t>(packed.panels);
#pragma omp parallel for schedule(static) num_threads(region_threads(usable_threads()))
  for (std::ptrdiff_t panel = 0; panel < panels; ++panel) use(static_cast<std::size_t>(panel));
}

/// The job that reads `tensor` and fills `packed`. Out is weight_of<F> for kernels of convolutions and of the head, and
/// float for the stem's kernel and for vectors.
template <class F, class Out>
weight_job packing_job(const packed_weights& packed, const named_tensor& tensor, const packing& how,
                       const microkernel_table<F>& microkernels) {
  return {&tensor, packed.panels, [&packed, how, &microkernels](std::size_t panel, const float* values) {
            pack_panel<F>(reinterpret_cast<Out*>(packed.data.data()) + panel * packed.panel_size,
                          reinterpret_cast<const std::byte*>(values), how, panel, microkernels);
          }};
}

/// Writes a standardised panel [9][K][tile_columns] in the given layout.
template <class F>
void pack_layout(weight_of<F>* out, const float* taps, const packing& how, weight_layout layout,
                 const microkernel_table<F>& microkernels) {
  const std::size_t rows = how.padded_rows_per_tap, columns = microkernels.tile_columns;
  if (layout != weight_layout::direct) {
    const auto& winograd =
        layout == weight_layout::winograd_2x2 ? microkernels.winograd_2x2 : microkernels.winograd_4x4;
    winograd.kernel(out, rows * columns, taps, rows);
  } else if constexpr (std::is_same_v<weight_of<F>, float>) {
    std::copy_n(taps, how.taps * rows * columns, out);
  } else {
    alignas(64) double zero[64] = {}, one[64];
    std::fill_n(one, 64, 1.0);
    microkernels.scale_columns(out, reinterpret_cast<const std::byte*>(taps), columns * sizeof(float), how.taps * rows,
                               columns, zero, one);
  }
}

/// The number of matrices in a layout: the taps, or the t·t matrices of Winograd.
constexpr std::size_t products_of(const packing& how, weight_layout layout) {
  return layout == weight_layout::direct ? how.taps : layout == weight_layout::winograd_2x2 ? 16 : 36;
}

/// Allocates a packed kernel of a layout.
template <class F>
packed_weights make_layout(const packing& how, weight_layout layout, const microkernel_table<F>& microkernels) {
  return make_room<weight_of<F>>(how, products_of(how, layout), microkernels.tile_columns);
}

/// The first number of panel `panel`, for writing.
template <class T>
T* layout_panel(const packed_weights& packed, std::size_t panel) {
  return reinterpret_cast<T*>(packed.data.data()) + panel * packed.panel_size;
}

/// Chooses the packing of every parameter by the step that reads it.
template <class F>
struct weight_packer {
  const program& p;
  const microkernel_table<F>& microkernels;
  bool winograd;     ///< whether Winograd may be chosen where it applies
  bool keep_values;  ///< see freeze_options
  std::unordered_map<std::string, typename cpu_weights<F>::entry>& entries;
  std::vector<weight_job>& jobs;

  template <class Out>
  void add(parameter_id id, const packing& how, bool several_layouts = false) const {
    const named_tensor& tensor = p[id];
    const auto [at, added] = entries.try_emplace(tensor.name);
    if (!added) return;
    at->second.how = how;
    at->second.several_layouts = several_layouts;
    if (several_layouts && !keep_values && tensor.data->has_parts()) {
      jobs.push_back({&tensor, 0, {}});  // it is verified now, and packed for the first plan
    } else if (!several_layouts || keep_values || tensor.data->bytes().empty()) {
      at->second.held =
          std::make_shared<const packed_weights>(make_room<Out>(how, how.taps, microkernels.tile_columns));
      jobs.push_back(packing_job<F, Out>(*at->second.held, tensor, how, microkernels));
    }
  }
  void vector(parameter_id id) const {
    const std::size_t size = p[id].shape.back();
    add<float>(id, {1, 1, 1, size, 0});
  }
  void kernel(parameter_id id, double eps) const {
    const auto& s = p[id].shape;  // HWIO
    add<weight_of<F>>(id, {s[0] * s[1], s[2], blocks_of(s[2]) * block, s[3], eps});
  }
  void kernel_of_several_layouts(const conv_source& c) const {
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
    if (winograd && winograd_applies(s)) kernel_of_several_layouts(s.main);
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

template <class F>
cpu_weights<F>::cpu_weights(const program& p, const microkernel_table<F>& microkernels, const freeze_options& options)
    : microkernels_(&microkernels), options_(options) {
  std::vector<weight_job> jobs;
  for (const step& s : p.steps)
    std::visit(
        weight_packer<F>{p, microkernels, options.algorithm != algorithm::direct, options.keep_values, entries_, jobs},
        s);
  read_weights(jobs);
}

template <class F>
std::vector<std::shared_ptr<const packed_weights>> cpu_weights<F>::prepare(
    std::span<const wanted_layout> wanted) const {
  std::vector<std::shared_ptr<const packed_weights>> all(wanted.size()), sources(wanted.size());
  std::vector<entry*> entries;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const auto found = entries_.find(wanted[i].tensor->name);
      if (found == entries_.end())
        throw config_error("[freeze] expected the weights of the frozen model, got a program that also reads " +
                           wanted[i].tensor->name);
      entry& e = found->second;
      entries.push_back(&e);
      all[i] = e.several_layouts ? e.layouts[static_cast<std::size_t>(wanted[i].layout)].lock() : e.held;
      sources[i] = e.held;
    }
  }
  // Reading and packing happen without the lock: a file may be slow, and plans of other shapes must not wait for it.
  // Two plans that want the same layout at the same moment both pack it, and the first to finish is kept.
  std::vector<weight_job> jobs;
  std::size_t taps_size = 0;  // floats of one thread's standardised panel
  aligned_buffer<float> taps;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (all[i]) continue;
    const entry& e = *entries[i];
    const weight_layout layout = wanted[i].layout;
    all[i] = std::make_shared<const packed_weights>(make_layout(e.how, layout, microkernels()));
    const packed_weights& packed = *all[i];
    if (sources[i]) {
      for_each_panel(packed, [&](std::size_t panel) {
        pack_layout(layout_panel<weight_of<F>>(packed, panel), sources[i]->template panel<float>(panel), e.how, layout,
                    microkernels());
      });
      continue;
    }
    taps_size = std::max(taps_size, e.how.taps * e.how.padded_rows_per_tap * microkernels().tile_columns);
    jobs.push_back({wanted[i].tensor, packed.panels, [&, layout](std::size_t panel, const float* values) {
                      float* own = taps.data() + taps_size * static_cast<std::size_t>(omp_get_thread_num());
                      pack_panel<F>(own, reinterpret_cast<const std::byte*>(values), e.how, panel, microkernels());
                      pack_layout(layout_panel<weight_of<F>>(packed, panel), own, e.how, layout, microkernels());
                    }});
  }
  taps = aligned_buffer<float>(taps_size * usable_threads());
  read_weights(jobs);
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (entry& e = *entries[i]; e.several_layouts) {
      auto& known = e.layouts[static_cast<std::size_t>(wanted[i].layout)];
      if (auto earlier = known.lock())
        all[i] = std::move(earlier);
      else
        known = all[i];
      if (!options_.keep_values) e.held = nullptr;
    }
  return all;
}

template <class F>
std::shared_ptr<const packed_weights> cpu_weights<F>::at(const named_tensor& tensor, weight_layout layout) const {
  const wanted_layout wanted{&tensor, layout};
  return prepare({&wanted, 1}).front();
}

template <class F>
std::size_t cpu_weights<F>::bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& [name, e] : entries_) {
    if (e.held) total += e.held->data.size();
    for (const auto& layout : e.layouts)
      if (const auto alive = layout.lock()) total += alive->data.size();
  }
  return total;
}

}  // namespace detail
}  // namespace bit::inline BIT_ABI
