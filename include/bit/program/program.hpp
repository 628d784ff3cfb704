// SPDX-License-Identifier: Apache-2.0
// A network for one input shape: values, constants, steps in order, and what the caller wants back.
// Layers emit into it; backends compile it; the memory plan, the summary and the feature taps read it.
#pragma once

#include <bit/config.hpp>
#include <bit/program/parameter.hpp>
#include <bit/program/step.hpp>
#include <bit/tensor.hpp>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// What lies behind a value's name.
enum class value_kind {
  image,        ///< the caller's batch, in the caller's memory and layout
  feature_map,  ///< feature map (n,c,h,w) in the backend's own layout
  statistics,   ///< sums over rows, columns and channels of a group: n images, c groups
  matrix,       ///< (n,c): pooled features, logits
};

/// Something a step reads or writes; only its size and name, memory is the backend's affair.
struct value {
  std::string name;  ///< "block1/unit01", as feature taps and reports spell it
  value_kind kind;
  dims4 dims;
};

/// Steps in order of execution over values that are written once.
struct program {
  std::vector<value> values;
  std::vector<named_tensor> parameters;
  std::vector<step> steps;
  std::vector<value_id> outputs;  ///< read by the caller after the last step

  /// Adds a value; `name` should be unique. Throws shape_error for more than max_elements elements, so that whatever
  /// reads the program may multiply its sizes.
  value_id add(std::string name, value_kind kind, dims4 dims) {
    static_cast<void>(dims.size());
    values.push_back({std::move(name), kind, dims});
    return value_id{values.size() - 1};
  }
  /// Adds a constant.
  parameter_id add(named_tensor tensor) {
    parameters.push_back(std::move(tensor));
    return parameter_id{parameters.size() - 1};
  }

  const value& operator[](value_id id) const { return values[static_cast<std::size_t>(id)]; }
  const named_tensor& operator[](parameter_id id) const { return parameters[static_cast<std::size_t>(id)]; }
};

/// The values that a step reads and writes, for a caller that needs to know the flow and not the arithmetic.
struct step_values {
  std::vector<value_id> reads, writes;
  std::vector<parameter_id> parameters;
  std::optional<std::pair<value_id, value_id>> in_place;  ///< {read, write} that may share memory
};

/// Lists what `s` touches.
BIT_FUNC step_values values_of(const step& s);

/// The convolution that `s` is, or null. Every kind of step has its own overload in the body, so a new kind does not
/// compile before it says whether it is a convolution of a feature map.
BIT_FUNC const conv_step* convolution_of(const step& s);
/// The classifier that `s` is, or null; told by an overload for every kind of step as well.
BIT_FUNC const head_step* classifier_of(const step& s);

/// A convolution kernel that is standardised before it is used, and what is added to its variance.
struct standardised_kernel_ref {
  parameter_id kernel;
  double weight_eps;
};
/// The kernels of `s` that are standardised, in the order in which it lists its parameters.
BIT_FUNC std::vector<standardised_kernel_ref> standardised_kernels(const step& s);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/program/program.ipp>
#endif
