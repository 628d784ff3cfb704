// How long a whole program takes by the cost model: what chooses the batch where throughput counts.
#pragma once

#include <bit/config.hpp>
#include <bit/program/program.hpp>

namespace bit::inline v0::detail {

/// Predicted seconds of one run on two cores of the measured machine, with kernels of `item_size` bytes a number: for
/// each step the time of its products, or that of streaming its weights from memory if it is longer, and a fixed cost.
/// Neither plan nor weights are needed, and the machine that runs does not enter: the same batch is chosen, and the same
/// bits come out, at every call.
BIT_FUNC double predicted_seconds(const program& p, std::size_t item_size);

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/program_cost.ipp>
#endif
