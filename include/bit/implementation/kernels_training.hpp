// Part of the implementation: the kernels of the backward half, of every instruction set.
#pragma once

#include <bit/detail/compiled_mode.hpp>

#include <bit/backend/cpu/isa/adjoint_dispatch.ipp>

namespace bit::inline v0::detail {

template const map_adjoint_kernels<float>& map_adjoint_kernels_of<float>(instruction_set);
template const map_adjoint_kernels<bfloat16>& map_adjoint_kernels_of<bfloat16>(instruction_set);
template const pair_adjoint_kernels* pair_adjoint_kernels_of<bfloat16>(instruction_set);

}  // namespace bit::inline v0::detail
