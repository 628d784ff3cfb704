// SPDX-License-Identifier: Apache-2.0
// Linear classifier on pooled features.
#pragma once

#include <bit/program/program.hpp>

namespace bit::inline BIT_ABI::nn {

/// kernel (1,1,c,classes) as the release stores it, bias (classes); not standardised.
struct linear {
  named_tensor kernel, bias;

  value_id emit(program& p, value_id x) const {
    const parameter_id k = p.add(kernel), b = p.add(bias);
    const value_id y = p.add("logits", value_kind::matrix, {p[x].dims.n, kernel.shape[3], 1, 1});
    p.steps.push_back(head_step{x, k, b, y});
    return y;
  }
};

}  // namespace bit::inline BIT_ABI::nn
