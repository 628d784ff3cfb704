// The kernels of the backward half for the instruction set that a model's other kernels are for.
#pragma once

#include <bit/backend/cpu/isa/adjoint_table.hpp>
#include <bit/backend/cpu/isa/table.hpp>

namespace bit::inline v0::detail {

/// The adjoint kernels beside `kernels`; maps are made of the same blocks, outer products as wide as its tiles.
BIT_FUNC const adjoint_kernels& adjoint_kernels_of(const isa_kernels& kernels);

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/isa/adjoint_dispatch.ipp>
#endif
