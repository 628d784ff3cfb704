// SPDX-License-Identifier: Apache-2.0
// The cost model that chooses the algorithm of a 3x3 convolution of stride 1. An algorithm takes the time of its
// products and transforms, or that of reading its weights from memory if this is longer; the algorithm with the
// shortest time is chosen. The model's constants describe one measured machine, never the machine that runs, and the
// number of threads does not enter: the choice, and so every bit of the result, depends on the shape and the
// instruction set alone.
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <bit/backend/freeze_options.hpp>
#include <bit/program/step.hpp>

namespace bit::inline BIT_ABI::detail {

/// The layouts in which a 3x3 kernel of stride 1 can be packed, one for each algorithm. All other kernels have the
/// direct layout only.
enum class weight_layout { direct, winograd_2x2, winograd_4x4 };

/// Whether a step can be computed by Winograd's algorithm: 3x3, stride and dilation 1, padding 1, no projection and no
/// residual.
inline bool winograd_applies(const conv_step& s) {
  const window& w = s.main.window;
  return w.size == 3 && w.stride == 1 && w.dilation == 1 && w.padding == 1 && !s.projection && !s.residual;
}

/// The size of a convolution that winograd_applies() to.
struct conv_size {
  std::size_t images, height, width, cin, cout;
};

/// The predicted seconds of one such convolution on two cores of the measured machine.
template <class F>
double predicted_seconds(const conv_size& size, weight_layout layout, const microkernel_table<F>& microkernels);

/// The layout of the algorithm that `wanted` names, or the fastest of those that it allows. In bfloat16, tiles of 4x4
/// are chosen only if they are wanted by name: they double the error of the logits (2.4e-2 instead of 1.3e-2), while
/// tiles of 2x2 add a tenth.
template <class F>
weight_layout choose_weight_layout(const conv_size& size, algorithm wanted, const microkernel_table<F>& microkernels);

/// The fastest layout up to `largest` (in the order of the enumeration) for a kernel that is packed again for every
/// use, so that the time to write it counts, too. In bfloat16, tiles of 4x4 are chosen only where pixels are packed as
/// floats, and only for kernels of at most largest_repacked_kernel bytes.
template <class F>
weight_layout choose_repacked_layout(const conv_size& size, weight_layout largest,
                                     const microkernel_table<F>& microkernels);

}  // namespace bit::inline BIT_ABI::detail

#include <bit/backend/cpu/cost.ipp>
