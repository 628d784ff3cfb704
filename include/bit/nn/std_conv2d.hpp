// SPDX-License-Identifier: Apache-2.0
// Convolution with standardised weights and no bias (arXiv:1903.10520): every output channel's kernel has mean 0 and
// variance 1 over (h,w,i).
#pragma once

#include <bit/nn/group_norm.hpp>

namespace bit::inline BIT_ABI::nn {

/// Kernel HWIO (size,size,cin,cout) and how it slides.
struct std_conv2d {
  named_tensor kernel;
  bit::window window;
  double eps = 1e-10;  ///< bit_pytorch/models.py, bit_tf2/models.py, bit_jax/models.py alike; timm has 1e-8

  std::size_t out_channels() const { return kernel.shape[3]; }

  /// The product of kernel and relu(norm(x)).
  conv_source source(program& p, flow in, const group_norm& norm) const {
    const parameter_id k = p.add(kernel);
    return {in.x, k, window, norm.emit(p, in.statistics), eps};
  }

  /// Logical size of the result.
  dims4 out(const dims4& in) const { return {in.n, out_channels(), window.out(in.h), window.out(in.w)}; }
};

}  // namespace bit::inline BIT_ABI::nn
