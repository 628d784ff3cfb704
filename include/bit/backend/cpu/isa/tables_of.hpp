// SPDX-License-Identifier: Apache-2.0
// The instruction sets' tables, and the choice between them: the one place that names every isa/<name>.hpp.
#pragma once

#include <bit/backend/cpu/isa/avx2.hpp>
#include <bit/backend/cpu/isa/avx512.hpp>
#include <bit/backend/cpu/isa/avx512_bf16.hpp>
#include <bit/backend/cpu/isa/avx512_bf16_float.hpp>
#include <bit/backend/cpu/isa/compiled.hpp>
#include <bit/backend/cpu/isa/instruction_set.hpp>
#include <bit/backend/cpu/isa/neon.hpp>
#include <bit/backend/cpu/isa/scalar.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::detail {

/// Returns use(tables) with the tables of an instruction set (isa/microkernels.inl). Throws config_error if this build
/// does not hold them.
template <class Use>
decltype(auto) with_tables_of(instruction_set isa, const Use& use) {
  switch (isa) {
#if defined(__x86_64__)
    case instruction_set::avx2:
      if constexpr (is_compiled(instruction_set::avx2)) return use(avx2::tables{});
      break;
    case instruction_set::avx512:
      if constexpr (is_compiled(instruction_set::avx512)) return use(avx512::tables{});
      break;
    case instruction_set::avx512_bf16:
      if constexpr (is_compiled(instruction_set::avx512_bf16)) return use(avx512_with_bfloat16<avx512_bf16::tables>{});
      break;
    case instruction_set::avx512_bf16_float:
      if constexpr (is_compiled(instruction_set::avx512_bf16_float))
        return use(avx512_with_bfloat16<avx512_bf16_float::tables>{});
      break;
#elif defined(__aarch64__)
    case instruction_set::neon:
      if constexpr (is_compiled(instruction_set::neon)) return use(neon::tables{});
      break;
#endif
    default:
      if constexpr (is_compiled(instruction_set::scalar)) return use(scalar::tables{});
  }
  throw config_error("[isa] this build holds microkernels for " BIT_ISAS " only (BIT_ISAS)");
}

}  // namespace bit::inline BIT_ABI::detail
