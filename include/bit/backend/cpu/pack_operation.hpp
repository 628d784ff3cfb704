// SPDX-License-Identifier: Apache-2.0
// Packs a kernel that learns for the backward pass, right before it is read.
#pragma once

#include <bit/backend/cpu/training_context.hpp>
#include <bit/backend/cpu/training_weights.hpp>

namespace bit::inline BIT_ABI::detail {

/// Packs a kernel into the arena, panel by panel. The kernels that the backward pass reads are packed right before they
/// are read and dropped afterwards: kept from one step to the next they took 187 of R50x1's 1017 MB. Packing again
/// costs a micro-batch of two images 6 % more processor time; a step in a single micro-batch has to pack in any case.
template <class T>
struct pack_operation {
  const cpu_training_weights<T>* weights;
  packed_layout layout;
  array_ref to;

  std::size_t scratch_bytes() const { return weights->layout_scratch(layout) * sizeof(float); }
  std::size_t max_items() const { return layout.panels; }
  void run(const training_context& run) const noexcept {
    run.work(layout.panels, [&](std::size_t panel) {
      weights->pack(layout, panel, to.at<T>(run), reinterpret_cast<float*>(run.scratch));
    });
  }
};

}  // namespace bit::inline BIT_ABI::detail
