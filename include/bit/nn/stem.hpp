// SPDX-License-Identifier: Apache-2.0
// Root block: 7x7/2 standardised convolution and the zero-padded max-pool.
#pragma once

#include <bit/nn/std_conv2d.hpp>

namespace bit::inline BIT_ABI::nn {

/// The first layers; no norm, no ReLU before the pool.
struct stem {
  std_conv2d conv;

  /// Emits the stem; `keep_unpooled` also keeps the convolution's output under the name "stem".
  flow emit(program& p, value_id image, std::size_t groups, bool keep_unpooled) const {
    const dims4 convolved = conv.out(p[image].dims);
    const dims4 pooled{convolved.n, convolved.c, stem_pool.out(convolved.h), stem_pool.out(convolved.w)};
    stem_step s{.image = image, .kernel = p.add(conv.kernel), .window = conv.window, .weight_eps = conv.eps, .y = {}};
    if (keep_unpooled) s.unpooled = p.add("stem", value_kind::feature_map, convolved);
    s.y = p.add("root", value_kind::feature_map, pooled);
    s.statistics = p.add("root/statistics", value_kind::statistics, {pooled.n, groups, 1, 1});
    p.steps.push_back(s);
    return {s.y, *s.statistics};
  }
};

}  // namespace bit::inline BIT_ABI::nn
