// Body of microkernels_of (backend/cpu/isa/dispatch.hpp): the only place that instantiates the kernels.
#pragma once

#include <bit/backend/cpu/isa/avx2.hpp>
#include <bit/backend/cpu/isa/avx512.hpp>
#include <bit/backend/cpu/isa/avx512_bf16.hpp>
#include <bit/backend/cpu/isa/avx512_bf16_float.hpp>
#include <bit/backend/cpu/isa/compiled.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/isa/neon.hpp>
#include <bit/backend/cpu/isa/scalar.hpp>
#include <bit/error.hpp>
#include <concepts>

namespace bit::inline v0::detail {

template <class T>
const microkernel_table<T>& microkernels_of(instruction_set isa) {
  switch (isa) {
#if defined(__x86_64__)
    case instruction_set::avx2:
      if constexpr (is_compiled(instruction_set::avx2)) return avx2::table<T>;
      break;
    case instruction_set::avx512:
      if constexpr (is_compiled(instruction_set::avx512)) return avx512::table<T>;
      break;
    case instruction_set::avx512_bf16:  // floats have nothing to gain from it
      if constexpr (is_compiled(instruction_set::avx512_bf16)) {
        if constexpr (std::same_as<T, bfloat16>)
          return avx512_bf16::table<bfloat16>;
        else
          return avx512::table<T>;
      }
      break;
    case instruction_set::avx512_bf16_float:
      if constexpr (is_compiled(instruction_set::avx512_bf16_float)) {
        if constexpr (std::same_as<T, bfloat16>)
          return avx512_bf16_float::table<bfloat16>;
        else
          return avx512::table<T>;
      }
      break;
#elif defined(__aarch64__)
    case instruction_set::neon:
      if constexpr (is_compiled(instruction_set::neon)) return neon::table<T>;
      break;
#endif
    default:
      if constexpr (is_compiled(instruction_set::scalar)) return scalar::table<T>;
  }
  throw config_error("[isa] this build holds microkernels for " BIT_ISAS " only (BIT_ISAS)");
}

}  // namespace bit::inline v0::detail
