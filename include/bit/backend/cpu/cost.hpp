// Which algorithm a 3x3 convolution of stride 1 takes. The rule: the time of an algorithm is that of its products and
// transforms, or that of streaming its weights from memory if that takes longer; the shortest time wins. The machine is
// the one that was measured, not the one that runs, and the number of threads does not enter: the choice, hence every
// bit of the result, depends on the shape and the instruction set alone.
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <bit/backend/freeze_options.hpp>
#include <bit/program/step.hpp>

namespace bit::inline v0::detail {

/// How a 3x3 kernel of stride 1 is packed and multiplied. All other constants have the direct form only.
enum class weight_layout { direct, winograd_2x2, winograd_4x4 };

/// Whether a step may take a Winograd form: 3x3, stride and dilation 1, padding 1, nothing added to the product.
inline bool winograd_applies(const conv_step& s) {
  const window& w = s.main.window;
  return w.size == 3 && w.stride == 1 && w.dilation == 1 && w.padding == 1 && !s.projection && !s.residual;
}

/// Size of a convolution that winograd_applies to.
struct conv_size {
  std::size_t images, height, width, cin, cout;
};

/// Predicted seconds of one such convolution on two cores of the measured machine.
template <class T>
double predicted_seconds(const conv_size& size, weight_layout layout, const microkernel_table<T>& microkernels);

/// The form that `wanted` asks for, or the fastest of those that it leaves open; in bfloat16 tiles of 4x4 must be asked
/// for by name: they double the error of the logits (2.4e-2 against 1.3e-2), tiles of 2x2 add a tenth.
template <class T>
weight_layout choose_weight_layout(const conv_size& size, algorithm wanted, const microkernel_table<T>& microkernels);

/// The fastest form up to `largest` where it is made anew for every use, which takes the time to write it. In bfloat16
/// tiles of 4x4 only where pixels are packed as floats, and of kernels that stay small in them.
template <class T>
weight_layout choose_repacked_layout(const conv_size& size, weight_layout largest,
                                     const microkernel_table<T>& microkernels);

}  // namespace bit::inline v0::detail

#include <bit/backend/cpu/cost.ipp>
