// SPDX-License-Identifier: Apache-2.0
// A table of feature vectors somewhere in memory: what the probes read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

#include <bit/detail/finite.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::eval {

/// Read-only table of `rows` feature vectors of `columns` numbers each, row-major; the caller keeps it alive.
struct feature_view {
  std::span<const float> values;
  std::size_t rows = 0, columns = 0;
};

/// Throws, in the name of `op`, shape_error unless the table holds rows x columns values and is not empty, and
/// config_error unless all of them are finite.
inline void check_features(const feature_view& x, const std::string& op) {
  if (x.rows == 0 || x.columns == 0 || x.values.size() != x.rows * x.columns)
    throw shape_error("[" + op + "] expected a table of at least one row and one column, got " +
                      std::to_string(x.values.size()) + " values for shape (" + std::to_string(x.rows) + ", " +
                      std::to_string(x.columns) + ")");
  if (!std::all_of(x.values.begin(), x.values.end(), [](float v) { return detail::is_finite(v); }))
    throw config_error("[" + op + "] expected finite features, got NaN or infinity; check the images and the weights");
}

/// Throws shape_error, in the name of `op`, unless there is one label per row, each in [0, classes).
inline void check_labels(std::span<const std::size_t> labels, const feature_view& x, std::size_t classes,
                         const std::string& op) {
  if (labels.size() != x.rows)
    throw shape_error("[" + op + "] expected one label per row, got " + std::to_string(labels.size()) + " labels for " +
                      std::to_string(x.rows) + " rows");
  for (std::size_t label : labels)
    if (label >= classes)
      throw shape_error("[" + op + "] expected labels in [0, " + std::to_string(classes) + "), got " +
                        std::to_string(label));
}

}  // namespace bit::inline BIT_ABI::eval
