// SPDX-License-Identifier: Apache-2.0
// Body of microkernels_of (backend/cpu/isa/dispatch.hpp): the only place that instantiates the forward microkernels.
#pragma once

#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/isa/tables_of.hpp>

namespace bit::inline BIT_ABI::detail {

template <class F>
const microkernel_table<F>& microkernels_of(instruction_set isa) {
  return with_tables_of(
      isa, []<class Tables>(Tables) -> const microkernel_table<F>& { return Tables::template forward<F>(); });
}

}  // namespace bit::inline BIT_ABI::detail
