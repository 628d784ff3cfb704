// The backward half of a training program: plain records like step.hpp's, one for each thing that a gradient goes
// through. dv is the gradient of the loss with respect to v. A convolution y = conv(relu(norm(x)), kernel) has three:
//   input_adjoint_step  gradient of relu(norm(x)),    kernel_adjoint_step  of the kernel,    norm_adjoint_step  of x.
// ReLU's mask and the normalised x are made again from x and its statistics: the forward half keeps its maps, no more,
// and with recomputation::units not even those: forward steps then stand among the adjoint ones.
#pragma once

#include <bit/program/program.hpp>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace bit::inline v0 {

/// One product of an input_adjoint_step: dy (n,cout,oh,ow), and the convolution whose transpose it goes through.
struct adjoint_source {
  value_id dy;
  constant_id kernel;  ///< HWIO, standardised as in the forward half
  bit::window window;  ///< of the forward half
  double weight_eps;
};

/// dx = sum over sources of transposed_conv(dy, kernel): the gradient of relu(norm(x)) for everybody who reads it.
struct input_adjoint_step {
  adjoint_source main;
  std::optional<adjoint_source> projection = {};  ///< only beside a 1x1 main convolution of stride 1
  value_id dx;                                    ///< (n,cin,h,w)
};

/// Gradient of the kernel as it is stored: contracts relu(norm(x)) with dy over images and pixels, then goes through
/// the standardisation: with k̂ the standardised kernel and means over (h,w,i),
/// dkernel = (dk̂ - mean(dk̂) - k̂·mean(dk̂·k̂)) / sqrt(variance + eps).
struct kernel_adjoint_step {
  conv_source source;
  value_id dy;  ///< (n,cout,oh,ow)
};

/// Through ReLU and group norm, and what came past them: with m = dy where relu(norm(x)) > 0 and 0 elsewhere, x̂ the
/// normalised x, r = 1/sqrt(variance + eps) and means over a group of an image,
/// dx = r·(gamma·m - mean(gamma·m) - x̂·mean(gamma·m·x̂)) + passed; dgamma = sum of m·x̂, dbeta = sum of m.
struct norm_adjoint_step {
  value_id x;
  norm_relu norm;
  value_id dy;                          ///< of relu(norm(x)); may share memory with dx
  std::optional<value_id> passed = {};  ///< gradient that a residual brings to x
  std::optional<value_id> dx = {};      ///< none: nothing before x learns
};

/// Of the mean over rows and columns: dx = dy / (h·w) for every pixel.
struct mean_adjoint_step {
  value_id dy;  ///< (n,c)
  value_id dx;  ///< (n,c,h,w)
};

/// Of the classifier: dkernel = xᵀ·dy, dbias = sum over images of dy, dx = dy·kernelᵀ.
struct head_adjoint_step {
  value_id x;  ///< (n,c)
  constant_id kernel, bias;
  value_id dy;                      ///< (n,classes)
  std::optional<value_id> dx = {};  ///< (n,c); none: nothing before x learns
};

/// Of the root block: dy goes to each window's first largest pixel, row by row, and nowhere where that is a zero of the
/// padding (what PyTorch's MaxPool2d after ConstantPad2d does); then to the kernel, and to the image if the caller asks.
struct stem_adjoint_step {
  value_id image;
  value_id unpooled;  ///< the convolution's output (n,c,h,w)
  constant_id kernel;
  bit::window window;
  double weight_eps;
  value_id dy;         ///< after the pool
  value_id dunpooled;  ///< scratch of unpooled's size
};

/// A step of the forward half that is run again, into other values.
struct repeated_step {
  step forward;
};

using adjoint_step = std::variant<input_adjoint_step, kernel_adjoint_step, norm_adjoint_step, mean_adjoint_step,
                                  head_adjoint_step, stem_adjoint_step, repeated_step>;

/// What the backward half finds of the forward half's maps. Gradients are the same to the bit: the same steps run again.
enum class recomputation {
  none,   ///< all that it reads has been kept
  units,  ///< only the units' inputs and all statistics; what lies within a unit, and the stem, is made again
};

/// What a backward half is to do.
struct training_options {
  recomputation recompute = recomputation::none;
  std::set<std::string> frozen = {};  ///< official names of parameters that get no gradient
  friend bool operator==(const training_options&, const training_options&) = default;
};

/// A forward program whose only output are the logits, and the steps that go back from their gradient. Without steps
/// it is a program for inference.
struct training_program {
  program forward;  ///< its values include those of `backward`
  std::vector<adjoint_step> backward = {};
  std::optional<value_id> logits_gradient = {};  ///< (n,classes), written between the two halves
  std::set<std::string> frozen = {};             ///< no step need write their gradients

  bool learns(constant_id id) const { return !frozen.contains(forward[id].name); }
};

/// Lists what `s` touches.
BIT_FUNC step_values values_of(const adjoint_step& s);

/// What each step touches, in the order of execution: the forward half, the loss (which reads the logits and writes
/// their gradient), the backward half.
BIT_FUNC std::vector<step_values> flow_of(const training_program& p);

/// Appends the backward half to `forward`, whose last step must be a head_step that writes its only output, and makes
/// the stem keep what backward needs. It goes back as far as something learns, and to the image only if `to_image`.
/// Throws config_error for a program whose maps are read in another way than through one norm and as a residual.
BIT_FUNC training_program with_adjoint(program forward, const training_options& options = {}, bool to_image = true);

}  // namespace bit::inline v0

#if BIT_HEADER_ONLY
#include <bit/program/adjoint.ipp>
#endif
