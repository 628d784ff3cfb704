// The kernels of the backward half by instruction set.
#pragma once

#include <bit/backend/cpu/isa/adjoint_table.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/isa/pair_adjoint_table.hpp>

namespace bit::inline v0::detail {

/// The adjoint kernels beside kernels_of<float>(isa): outer products are as wide as its tiles.
BIT_FUNC const adjoint_kernels& adjoint_kernels_of(instruction_set isa);

/// Those for maps of numbers of type T. One function per type: see kernels_of.
template <class T>
const map_adjoint_kernels<T>& map_adjoint_kernels_of(instruction_set isa);

/// Those for pairs of numbers of type T, which is bfloat16, as wide as the tiles of kernels_of<T>(isa); null where these
/// multiply floats.
template <class T>
const pair_adjoint_kernels* pair_adjoint_kernels_of(instruction_set isa);

#if !BIT_HEADER_ONLY
extern template const map_adjoint_kernels<float>& map_adjoint_kernels_of<float>(instruction_set);
extern template const map_adjoint_kernels<bfloat16>& map_adjoint_kernels_of<bfloat16>(instruction_set);
extern template const pair_adjoint_kernels* pair_adjoint_kernels_of<bfloat16>(instruction_set);
#endif

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/isa/adjoint_dispatch.ipp>
#endif
