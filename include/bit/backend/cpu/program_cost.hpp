// How long a whole program takes by the cost model: what chooses the batch where throughput counts.
#pragma once

#include <bit/backend/cpu/cost.hpp>
#include <bit/program/program.hpp>

namespace bit::inline v0::detail {

/// Predicted seconds of one run on two cores of the measured machine: for each step the time of its products, or that of
/// streaming its weights from memory if it is longer, and a fixed cost. Neither plan nor weights are needed, and the
/// machine that runs does not enter: the same batch is chosen, and the same bits come out, at every call.
template <class T>
double predicted_seconds(const program& p, const freeze_options& options, const microkernel_table<T>& microkernels);

}  // namespace bit::inline v0::detail

#include <bit/backend/cpu/program_cost.ipp>
