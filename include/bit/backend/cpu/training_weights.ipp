// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/training_weights.hpp.
#pragma once

#include <omp.h>

#include <algorithm>
#include <bit/backend/cpu/packed_weights.ipp>
#include <bit/backend/cpu/threads.hpp>
#include <bit/backend/cpu/training_weights.hpp>
#include <bit/backend/cpu/transposed_kernel.ipp>

namespace bit::inline BIT_ABI::detail {

template <class T>
cpu_training_weights<T>::cpu_training_weights(std::span<const trainable_parameter<float>> views,
                                              std::shared_ptr<const trainable_parameters<float>> owner,
                                              instruction_set isa)
    : owner_(std::move(owner)),
      isa_(isa),
      table_(&microkernels_of<T>(isa)),
      float_table_(&microkernels_of<float>(isa)),
      backward_(&backward_microkernels_of(isa)),
      backward_map_(&backward_map_microkernels_of<T>(isa)) {
  for (const auto& p : views) parameters_.emplace(p.name, &p);
}

template <class T>
packed_layout cpu_training_weights<T>::layout_of(const named_tensor& tensor, double eps, kernel_use use,
                                                 weight_layout layout) {
  const auto& s = tensor.shape;  // HWIO
  const std::size_t columns = microkernels().tile_columns;
  const auto [at, added] = kernels_.try_emplace(tensor.name, standardised_kernel{&this->at(tensor), eps, {}});
  if (added) {
    fresh_ = false;
    const std::size_t padded = (s[3] + columns - 1) / columns * columns;
    at->second.standard.mean.assign(padded, 0.0);
    at->second.standard.scale.assign(padded, 1.0);
  }
  packed_layout made{&at->second, use, layout};
  if (use == kernel_use::forward || use == kernel_use::head)
    made.how = {s[0] * s[1], s[2], blocks_of(s[2]) * block, s[3], eps};
  if (use == kernel_use::transposed) made.how = {s[0] * s[1], s[3], blocks_of(s[3]) * block, s[2], eps};
  if (use == kernel_use::stem) made.how = {1, s[0] * s[1] * s[2], s[0] * s[1] * s[2], s[3], eps};
  made.panel_size = products_of(made.how, layout) * made.how.padded_rows_per_tap * columns;
  made.panels = (made.how.columns + columns - 1) / columns;
  return made;
}

template <class T>
const packed_weights& cpu_training_weights<T>::kernel(const named_tensor& tensor, double eps, kernel_use use,
                                                      weight_layout layout) {
  const auto [at, added] = kept_.try_emplace({tensor.name, use, layout});
  kept_layout& kept = at->second;
  if (!added) return kept.packed;
  fresh_ = false;
  kept.layout = layout_of(tensor, eps, use, layout);
  kept.packed = plain(kept.layout)
                    ? make_room<float>(kept.layout.how, kept.layout.how.taps, microkernels().tile_columns)
                    : make_layout(kept.layout.how, layout, microkernels());
  return kept.packed;
}

template <class T>
const packed_weights& cpu_training_weights<T>::vector(const named_tensor& tensor) {
  const auto [at, added] = vectors_.try_emplace(tensor.name);
  if (added) {
    fresh_ = false;
    at->second = make_room<float>({1, 1, 1, tensor.shape.back(), 0}, 1, microkernels().tile_columns);
  }
  return at->second;
}

/// Mean and scale of one panel of output channels.
template <class T>
void cpu_training_weights<T>::standardise(standardised_kernel& kernel, std::size_t panel) const {
  const std::size_t width = microkernels().tile_columns, cout = kernel.parameter->shape[3], first = panel * width;
  if (kernel.eps > 0)
    measure_columns(kernel.standard.mean.data() + first, kernel.standard.scale.data() + first,
                    reinterpret_cast<const std::byte*>(kernel.parameter->value.data() + first), cout * sizeof(float),
                    kernel.parameter->value.size() / cout, std::min(width, cout - first), kernel.eps,
                    float_microkernels());
}

/// The panel's taps, in float.
template <class T>
void cpu_training_weights<T>::pack_taps(const packed_layout& layout, std::size_t panel, float* to) const {
  const std::size_t width = microkernels().tile_columns, first = panel * width;
  const packing& how = layout.how;
  const standardisation& standard = layout.of->standard;
  const float* w = layout.of->parameter->value.data();
  if (layout.use != kernel_use::transposed) {
    pack_panel<float>(to, reinterpret_cast<const std::byte*>(w), how, panel, float_microkernels(),
                      standard.mean.data() + first, standard.scale.data() + first);
    return;
  }
  pack_transposed_taps(to, w, how, panel, width, standard.mean.data(), standard.scale.data());
}

template <class T>
void cpu_training_weights<T>::pack(const packed_layout& layout, std::size_t panel, void* to, float* scratch) const {
  if (plain(layout)) return pack_taps(layout, panel, static_cast<float*>(to) + panel * layout.panel_size);
  pack_taps(layout, panel, scratch);
  pack_layout(static_cast<T*>(to) + panel * layout.panel_size, scratch, layout.how, layout.layout, microkernels());
}

/// A panel of taps, of which another form is made.
template <class T>
std::size_t cpu_training_weights<T>::layout_scratch(const packed_layout& layout) const {
  return plain(layout) ? 0 : layout.how.taps * layout.how.padded_rows_per_tap * microkernels().tile_columns;
}

template <class T>
std::size_t cpu_training_weights<T>::scratch_size() const {
  std::size_t size = 0;
  for (const auto& [key, f] : kept_) size = std::max(size, layout_scratch(f.layout));
  return size;
}

template <class T>
std::size_t cpu_training_weights<T>::bytes(std::size_t threads) const {
  std::size_t total = scratch_size() * threads * sizeof(float);
  for (const auto& [key, f] : kept_) total += f.packed.data.size();
  for (const auto& [name, packed] : vectors_) total += packed.data.size();
  for (const auto& [name, k] : kernels_) total += (k.standard.mean.size() + k.standard.scale.size()) * sizeof(double);
  return total;
}

template <class T>
void cpu_training_weights<T>::refresh(std::size_t threads) {
  if (fresh_ && packed_version_ == owner_->version()) return;
  std::vector<std::pair<standardised_kernel*, std::size_t>> measures;
  std::vector<std::pair<const kept_layout*, std::size_t>> packs;
  const std::size_t width = microkernels().tile_columns;
  for (auto& [name, k] : kernels_)
    for (std::size_t panel = 0; panel * width < k.parameter->shape[3]; ++panel) measures.emplace_back(&k, panel);
  const std::size_t scratch = scratch_size();
  for (const auto& [key, f] : kept_)
    for (std::size_t panel = 0; panel < f.packed.panels; ++panel) packs.emplace_back(&f, panel);
  if (scratch_.size() < scratch * threads) scratch_ = aligned_buffer<float>(scratch * threads);
  for (auto& [name, packed] : vectors_) {
    float* to = layout_panel<float>(packed, 0);
    const std::span<const float> from = parameters_.at(name)->value;
    std::fill(std::copy(from.begin(), from.end(), to), to + packed.panels * packed.panel_size, 0.0f);
  }
#pragma omp parallel num_threads(region_threads(threads))
  {
#pragma omp for schedule(dynamic, 1)
    for (std::size_t i = 0; i < measures.size(); ++i) standardise(*measures[i].first, measures[i].second);
#pragma omp for schedule(dynamic, 1)
    for (std::size_t i = 0; i < packs.size(); ++i)
      pack(packs[i].first->layout, packs[i].second, packs[i].first->packed.data.data(),
           scratch_.data() + scratch * static_cast<std::size_t>(omp_get_thread_num()));
  }
  fresh_ = true;
  packed_version_ = owner_->version();
}

}  // namespace bit::inline BIT_ABI::detail
