// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/report.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/report.hpp>

namespace bit::inline BIT_ABI {

BIT_FUNC std::vector<step_profile> report_steps(const program& p, const std::vector<std::size_t>& value_bytes,
                                                std::size_t item_size) {
  std::vector<step_summary> summaries = summarise(p);
  const auto bytes_of = [&](value_id id) {
    return p[id].kind == value_kind::image ? p[id].dims.size() * item_size : value_bytes[static_cast<std::size_t>(id)];
  };
  std::vector<step_profile> rows(summaries.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    step_profile& row = rows[i];
    row.step = std::move(summaries[i]);
    if (row.step.macs > 0) row.algorithm = "direct";
    const step_values values = values_of(p.steps[i]);
    for (value_id id : values.reads) row.read_bytes += bytes_of(id);
    for (value_id id : values.writes) row.written_bytes += bytes_of(id);
    for (parameter_id id : values.parameters) {
      const auto& shape = p[id].shape;  // kernels are (h,w,i,o), norms and biases vectors
      if (shape.size() == 4) row.weight_bytes += shape[0] * shape[1] * shape[2] * shape[3] * item_size;
    }
  }
  return rows;
}

BIT_FUNC void add_seconds(std::vector<step_profile>& rows, const std::vector<double>& seconds) {
  const std::size_t runs = rows.empty() ? 0 : seconds.size() / rows.size();
  std::vector<double> of_step(runs);
  for (std::size_t i = 0; i < rows.size() && runs > 0; ++i) {
    for (std::size_t run = 0; run < runs; ++run) of_step[run] = seconds[run * rows.size() + i];
    std::sort(of_step.begin(), of_step.end());
    rows[i].min_seconds = of_step.front();
    rows[i].median_seconds = (of_step[(runs - 1) / 2] + of_step[runs / 2]) / 2;
  }
}

}  // namespace bit::inline BIT_ABI
