// The kernels of the backward half by instruction set.
#pragma once

#include <bit/backend/cpu/isa/adjoint_table.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>

namespace bit::inline v0::detail {

/// The adjoint kernels beside kernels_of<float>(isa): outer products are as wide as its tiles.
BIT_FUNC const adjoint_kernels& adjoint_kernels_of(instruction_set isa);

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/isa/adjoint_dispatch.ipp>
#endif
