// SPDX-License-Identifier: Apache-2.0
// Gradient taps by the names of the network's outputs.
#pragma once

#include <bit/backend/gradient_tap.hpp>
#include <bit/model/network.hpp>
#include <span>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// A request for the gradient of the loss, or of whatever the caller differentiates, with respect to one value of the
/// network. `name` is "image" or one of network::output_names() but "logits": "features" is the map after the last norm
/// and ReLU, "pooled" its mean over rows and columns, "block4" and "block2/unit03" what those blocks and units return.
/// `out` has the value's number of elements and is written, not added to, in run_options::output_layout (matrices (n,c)).
/// Gradients are not scaled.
template <class T>
struct named_tap {
  std::string name;
  std::span<T> out;
};

namespace detail {

/// A program that ends in the logits, and the values that carry the names of gradient taps.
struct tapped_program {
  program forward;
  std::vector<value_id> taps;
};

/// Emits it. Throws config_error for a network without a head and for names that cannot be tapped, and as network::emit
/// does.
BIT_FUNC tapped_program emit_tapped(const network& net, const dims4& images, std::span<const std::string> names);

/// Addresses by value for taps by name. Throws shape_error for memory of another size than the value's.
template <class T>
std::vector<gradient_tap<T>> find_taps(std::span<const named_tap<T>> wanted, std::span<const value_id> values,
                                       std::span<const dims4> sizes) {
  std::vector<gradient_tap<T>> found;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].out.size() != sizes[i].size())
      throw shape_error("[tap] expected " + std::to_string(sizes[i].size()) +
                        " values of memory for the gradient of \"" + wanted[i].name + "\" " + to_string(sizes[i]) +
                        ", got " + std::to_string(wanted[i].out.size()));
    found.push_back({values[i], wanted[i].out.data()});
  }
  return found;
}

}  // namespace detail
}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/model/taps.ipp>
#endif
