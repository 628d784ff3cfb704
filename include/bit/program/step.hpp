// SPDX-License-Identifier: Apache-2.0
// The steps that a network is made of. A step computes nothing itself: it is a plain record over values and constants
// that a backend executes. The structs are the documentation of the kernels:
//   y = sum over sources of conv(relu(norm(x)), kernel) + residual, and the statistics of y on the way out.
#pragma once

#include <bit/program/geometry.hpp>
#include <cstddef>
#include <optional>
#include <variant>

namespace bit::inline BIT_ABI {

/// Index into program::values.
enum class value_id : std::size_t {};
/// Index into program::constants.
enum class parameter_id : std::size_t {};

/// Group norm (arXiv:1803.08494) and ReLU, applied while a step reads x: max(0, scale·x + shift), where scale and
/// shift (n,c) fold gamma (c) and beta (c) with mean and 1/sqrt(variance + eps) of `statistics` (n,groups).
struct norm_relu {
  value_id statistics;
  parameter_id gamma, beta;
  double eps;
};

/// One product: a standardised convolution of relu(norm(x)) without bias.
struct conv_source {
  value_id x;           ///< feature map (n,cin,h,w)
  parameter_id kernel;  ///< HWIO (size,size,cin,cout), standardised over (h,w,i) when the model is frozen
  bit::window window;   ///< padding is zero *after* norm and ReLU
  norm_relu input;
  double weight_eps;  ///< added to the kernel's variance
};

/// Convolution, optionally with the unit's projection accumulated in the same product, a residual, and the
/// statistics of what is written.
struct conv_step {
  conv_source main;
  std::optional<conv_source> projection = {};  ///< only beside a 1x1 main convolution
  std::optional<value_id> residual = {};       ///< (n,cout,oh,ow), may share memory with y if no source reads it
  value_id y;                                  ///< (n,cout,oh,ow)
  std::optional<value_id> statistics = {};     ///< of y: (n,groups)
};

/// Root block: standardised convolution of the image, then the zero-padded max-pool `stem_pool`.
struct stem_step {
  value_id image;       ///< (n,cin,h,w) in the caller's layout
  parameter_id kernel;  ///< HWIO (7,7,cin,cout), standardised like a conv_source's
  bit::window window;
  double weight_eps;
  std::optional<value_id> unpooled = {};    ///< the convolution's output, if it is wanted
  value_id y;                               ///< (n,cout,oh,ow) after the pool
  std::optional<value_id> statistics = {};  ///< of y: (n,groups)
};

/// Final norm and ReLU, then the mean over rows and columns.
struct pool_step {
  value_id x;
  norm_relu input;
  std::optional<value_id> features = {};  ///< relu(norm(x)) as a map, if it is wanted
  value_id pooled;                        ///< (n,c)
};

/// Mean over rows and columns of a map that the caller gives: what comes before the classifier when another library
/// made the features.
struct mean_step {
  value_id image;  ///< (n,c,h,w) in the caller's layout
  value_id y;      ///< (n,c)
};

/// Linear classifier: y = x·kernel + bias.
struct head_step {
  value_id x;           ///< (n,c)
  parameter_id kernel;  ///< (1,1,c,classes), as it is
  parameter_id bias;    ///< (classes)
  value_id y;           ///< (n,classes)
};

using step = std::variant<stem_step, conv_step, pool_step, mean_step, head_step>;

}  // namespace bit::inline BIT_ABI
