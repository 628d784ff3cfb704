// SPDX-License-Identifier: Apache-2.0
// Pre-activation bottleneck unit (arXiv:1603.05027), stride in the 3x3 (bit_pytorch/models.py: "Except it puts the
// stride on 3x3 conv").
#pragma once

#include <bit/nn/std_conv2d.hpp>
#include <optional>

namespace bit::inline BIT_ABI::nn {

/// y = conv3(relu(norm3(conv2(relu(norm2(conv1(o))))))) + shortcut with o = relu(norm1(x)); the shortcut is x itself,
/// or projection(o) in the first unit of a block.
struct bottleneck {
  std::string name;  ///< "block1/unit01"
  group_norm norm1, norm2, norm3;
  std_conv2d conv1, conv2, conv3;
  std::optional<std_conv2d> projection;

  flow emit(program& p, flow in, std::size_t groups) const {
    const flow narrow = emit_conv(p, conv1.source(p, in, norm1), conv1, in, groups, name + "/a");
    const flow spatial = emit_conv(p, conv2.source(p, narrow, norm2), conv2, narrow, groups, name + "/b");
    const flow out = add_map(p, conv3.out(p[spatial.x].dims), groups, name);
    conv_step s{.main = conv3.source(p, spatial, norm3), .y = out.x, .statistics = out.statistics};
    if (projection)
      s.projection = projection->source(p, in, norm1);
    else
      s.residual = in.x;
    p.steps.push_back(s);
    return out;
  }

 private:
  static flow add_map(program& p, const dims4& d, std::size_t groups, const std::string& name) {
    const value_id y = p.add(name, value_kind::feature_map, d);
    return {y, p.add(name + "/statistics", value_kind::statistics, {d.n, groups, 1, 1})};
  }
  static flow emit_conv(program& p, const conv_source& source, const std_conv2d& conv, flow in, std::size_t groups,
                        const std::string& name) {
    const flow out = add_map(p, conv.out(p[in.x].dims), groups, name);
    p.steps.push_back(conv_step{.main = source, .y = out.x, .statistics = out.statistics});
    return out;
  }
};

}  // namespace bit::inline BIT_ABI::nn
