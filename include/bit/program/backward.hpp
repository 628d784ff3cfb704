// SPDX-License-Identifier: Apache-2.0
// The backward pass of a training program: plain records like step.hpp's, one for each thing that a gradient goes
// through. dv is the gradient of the loss with respect to v. A convolution y = conv(relu(norm(x)), kernel) has three:
//   backward_data_step  gradient of relu(norm(x)),    backward_weights_step  of the kernel,    norm_backward_step  of x.
// ReLU's mask and the normalised x are recomputed from x and its statistics: the forward pass keeps its maps, no more,
// and with recomputation::units not even those: forward steps then stand among the backward ones.
#pragma once

#include <bit/program/program.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace bit::inline BIT_ABI {

/// One product of an backward_data_step: dy (n,cout,oh,ow), and the convolution whose transpose it goes through.
struct backward_source {
  value_id dy;
  parameter_id kernel;  ///< HWIO, standardised as in the forward pass
  bit::window window;   ///< of the forward pass
  double weight_eps;
};

/// dx = sum over sources of transposed_conv(dy, kernel): the gradient of relu(norm(x)) for everybody who reads it.
struct backward_data_step {
  backward_source main;
  std::optional<backward_source> projection = {};  ///< only beside a 1x1 main convolution of stride 1
  value_id dx;                                     ///< (n,cin,h,w)
};

/// Gradient of the kernel as it is stored: contracts relu(norm(x)) with dy over images and pixels, then goes through
/// the standardisation: with k̂ the standardised kernel and means over (h,w,i),
/// dkernel = (dk̂ - mean(dk̂) - k̂·mean(dk̂·k̂)) / sqrt(variance + eps).
struct backward_weights_step {
  conv_source source;
  value_id dy;  ///< (n,cout,oh,ow)
};

/// Through ReLU and group norm, and what came past them: with m = dy where relu(norm(x)) > 0 and 0 elsewhere, x̂ the
/// normalised x, r = 1/sqrt(variance + eps) and means over a group of an image,
/// dx = r·(gamma·m - mean(gamma·m) - x̂·mean(gamma·m·x̂)) + passed; dgamma = sum of m·x̂, dbeta = sum of m.
struct norm_backward_step {
  value_id x;
  norm_relu norm;
  value_id dy;                          ///< of relu(norm(x)); may share memory with dx
  std::optional<value_id> passed = {};  ///< gradient that a residual brings to x
  std::optional<value_id> dx = {};      ///< none: nothing before x learns
};

/// Of the mean over rows and columns: dx = dy / (h·w) for every pixel.
struct mean_backward_step {
  value_id dy;  ///< (n,c)
  value_id dx;  ///< (n,c,h,w)
};

/// Of the classifier: dkernel = xᵀ·dy, dbias = sum over images of dy, dx = dy·kernelᵀ.
struct head_backward_step {
  value_id x;  ///< (n,c)
  parameter_id kernel, bias;
  value_id dy;                      ///< (n,classes)
  std::optional<value_id> dx = {};  ///< (n,c); none: nothing before x learns
};

/// Of the root block: dy goes to each window's first largest pixel, row by row, and nowhere where that is a zero of the
/// padding (what PyTorch's MaxPool2d after ConstantPad2d does); then to the kernel if it learns, and to the image if a
/// gradient tap asks for it.
struct stem_backward_step {
  value_id image;
  value_id unpooled;  ///< the convolution's output (n,c,h,w)
  parameter_id kernel;
  bit::window window;
  double weight_eps;
  value_id dy;                                ///< after the pool
  value_id dunpooled;                         ///< gradient of unpooled
  std::optional<std::size_t> image_tap = {};  ///< the tap that receives the image's gradient
  std::optional<std::size_t> output = {};     ///< unpooled as an output, whose gradient is added to dunpooled
};

/// Hands the gradient of training_program::taps[tap] to the caller. It is complete when this step runs, and is written,
/// not added.
struct gradient_tap_step {
  value_id gradient;  ///< of the size of the tapped value
  std::size_t tap;
};

/// Takes the gradient of an output that is not the logits from the caller: writes it, or adds it to what the steps before
/// have brought.
struct output_gradient_step {
  value_id gradient;   ///< of the size of the output
  std::size_t output;  ///< its place among program::outputs
  bool adds;
};

/// A step of the forward pass that is run again, into other values.
struct recomputed_step {
  step forward;
};

using backward_step =
    std::variant<backward_data_step, backward_weights_step, norm_backward_step, mean_backward_step, head_backward_step,
                 stem_backward_step, gradient_tap_step, output_gradient_step, recomputed_step>;

/// What the backward pass finds of the forward pass's maps. Gradients are the same to the bit: the same steps run again.
enum class recomputation {
  none,   ///< all that it reads has been kept
  units,  ///< only the units' inputs and all statistics; what lies within a unit, and the stem, is recomputed
};

/// What a backward pass is to do.
struct training_options {
  recomputation recompute = recomputation::none;
  std::set<std::string> frozen = {};  ///< official names of parameters that get no gradient
  friend bool operator==(const training_options&, const training_options&) = default;
};

/// A forward program, and the steps that go back from the gradient of the logits, its only output, or from those of any
/// outputs (`from_outputs`). Without steps it is a program for inference.
struct training_program {
  program forward;  ///< its values include those of `backward`
  std::vector<backward_step> backward = {};
  std::optional<value_id> logits_gradient =
      {};                             ///< (n,classes), the caller's, between the two passes; none without logits
  bool from_outputs = false;          ///< whether the caller takes all outputs and gives all their gradients
  std::set<std::string> frozen = {};  ///< no step need write their gradients
  std::vector<value_id> taps = {};    ///< values whose gradients the caller may ask for

  bool learns(parameter_id id) const { return !frozen.contains(forward[id].name); }
};

/// Lists what `s` touches.
BIT_FUNC step_values values_of(const backward_step& s);

/// What each step touches, in the order of execution: the forward pass, the loss (which reads the logits and writes
/// their gradient), the backward pass.
BIT_FUNC std::vector<step_values> flow_of(const training_program& p);

/// Appends the backward pass to `forward`, whose last step must be a head_step that writes its only output, and makes
/// the stem keep what the pass needs. It goes back as far as something learns or is tapped: `taps` are values whose
/// gradients are wanted, feature maps, matrices or the image. A map that no forward step but a tap needs is not written.
/// Throws config_error for a program whose maps are read in another way than through one norm and as a residual, for
/// taps that are statistics or the logits, and for a value that is tapped twice.
BIT_FUNC training_program with_backward(program forward, const training_options& options = {},
                                        std::span<const value_id> taps = {});

/// The same from the gradients of all outputs: logits, matrices and feature maps. Throws config_error as with_backward, and
/// if the stem's map is an output without anything after it.
BIT_FUNC training_program with_backward_from_outputs(program forward, const training_options& options = {},
                                                     std::span<const value_id> taps = {});

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/program/backward.ipp>
#endif
