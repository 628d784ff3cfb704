// SPDX-License-Identifier: Apache-2.0
// Predicts by the cost model how long a whole program takes. frozen_resnet_v2::throughput_batch chooses a batch by it.
#pragma once

#include <bit/backend/cpu/cost.hpp>
#include <bit/program/program.hpp>

namespace bit::inline BIT_ABI::detail {

/// The predicted seconds of one run on two cores of the measured machine. Each step takes the time of its products, or
/// that of reading its weights from memory if this is longer, and a fixed cost. Neither a plan nor weights are needed.
/// The machine that runs does not enter, so the same batch is chosen, and the same bits come out, at every call.
template <class F>
double predicted_seconds(const program& p, const freeze_options& options, const microkernel_table<F>& microkernels);

}  // namespace bit::inline BIT_ABI::detail

#include <bit/backend/cpu/program_cost.ipp>
