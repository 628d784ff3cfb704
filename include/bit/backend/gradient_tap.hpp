// SPDX-License-Identifier: Apache-2.0
// Where a backward pass hands gradients of feature maps and images to its caller.
#pragma once

#include <bit/error.hpp>
#include <bit/program/program.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// One value of a training program whose gradient the caller wants. `out` has room for the value's elements and receives
/// dloss/dvalue: it is written, not added to, and the scale of the parameters' gradients does not apply. Feature maps and
/// the image come in run_options::output_layout, matrices as (n,c), row-major. A backward pass that fails or is
/// interrupted leaves the content unspecified.
template <class T>
struct gradient_tap {
  value_id value;  ///< one of training_program::taps
  T* out;
};

namespace detail {

/// The callers' addresses in the order of `taps`, null where none is wanted. Throws config_error for a value that the
/// program has no tap for.
template <class T>
std::vector<T*> tap_outputs(std::span<const value_id> taps, std::span<const gradient_tap<T>> wanted) {
  std::vector<T*> outputs(taps.size(), nullptr);
  for (const gradient_tap<T>& w : wanted) {
    std::size_t i = 0;
    while (i < taps.size() && taps[i] != w.value) ++i;
    if (i == taps.size())
      throw config_error("[backward] expected taps of values that the program was made with, got value " +
                         std::to_string(static_cast<std::size_t>(w.value)));
    outputs[i] = w.out;
  }
  return outputs;
}

}  // namespace detail
}  // namespace bit::inline BIT_ABI
