// SPDX-License-Identifier: Apache-2.0
// Group normalisation and ReLU (arXiv:1803.08494): never a step of its own, the step that reads the map applies it.
#pragma once

#include <bit/program/program.hpp>

namespace bit::inline BIT_ABI::nn {

/// A feature map on its way through the network, and the sums that the next norm needs.
struct flow {
  value_id x;
  value_id statistics;
};

/// Parameters of one norm: gamma and beta (c).
struct group_norm {
  named_tensor gamma, beta;
  double eps = 1e-5;  ///< bit_tf2/normalization.py, bit_jax/models.py

  /// Adds the parameters to `p`; the result goes into the step that reads the map.
  norm_relu emit(program& p, value_id statistics) const {
    const parameter_id g = p.add(gamma);
    return {statistics, g, p.add(beta), eps};
  }
};

}  // namespace bit::inline BIT_ABI::nn
