// SPDX-License-Identifier: Apache-2.0
// From stored tensors to parameters and back: dtypes, byte order and axis order.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <bit/config.hpp>
#include <bit/io/raw_tensor.hpp>
#include <bit/program/parameter.hpp>

namespace bit::inline BIT_ABI::io {

/// Parameters from values in memory, row-major in the official layout.
BIT_FUNC std::shared_ptr<const tensor_data> in_memory(std::vector<float> values);

}  // namespace bit::inline BIT_ABI::io

namespace bit::inline BIT_ABI::detail {

/// A walk over a tensor of up to four axes: sizes of the result, and how far one step along each axis moves in the
/// source, in elements. Missing axes have size 1 and lead.
struct axis_walk {
  std::array<std::size_t, 4> shape{1, 1, 1, 1}, stride{0, 0, 0, 0};
};

/// The walk that reads a source of shape `from` (first axis fastest if `fortran`) in the axis order `order`:
/// axis i of the result is axis order[i] of the source. An order entry of -1 stands for a new axis of size 1.
BIT_FUNC axis_walk walk_of(const std::vector<std::size_t>& from, const std::vector<int>& order, bool fortran);

/// Values of `tensor` with axes in `order` as a parameter. The tensor has a floating dtype and at most four axes.
BIT_FUNC std::shared_ptr<const tensor_data> as_parameter(io::raw_tensor tensor, const std::vector<int>& order);

/// Writes values of `source` to `out` in the order of `walk`, rows `first` to `first + count - 1` of its first axis.
BIT_FUNC void gather(const axis_walk& walk, const float* source, std::size_t first, std::size_t count, float* out);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/io/convert.ipp>
#endif
