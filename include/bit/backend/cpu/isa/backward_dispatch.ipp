// Bodies of backend/cpu/isa/backward_dispatch.hpp: backward.inl once in each instruction set's namespace.
#pragma once

#include <bit/backend/cpu/isa/avx2.hpp>
#include <bit/backend/cpu/isa/avx512.hpp>
#include <bit/backend/cpu/isa/avx512_bf16.hpp>
#include <bit/backend/cpu/isa/backward_dispatch.hpp>
#include <bit/backend/cpu/isa/neon.hpp>
#include <bit/backend/cpu/isa/scalar.hpp>
#include <concepts>

namespace bit::inline v0::detail::scalar {
#include <bit/backend/cpu/isa/backward.inl>
inline constexpr backward_microkernel_table backward = make_backward_table();
}  // namespace bit::inline v0::detail::scalar

#if defined(__x86_64__)
BIT_TARGET_BEGIN("avx2,fma")
namespace bit::inline v0::detail::avx2 {
#include <bit/backend/cpu/isa/backward.inl>
inline constexpr backward_microkernel_table backward = make_backward_table();
}  // namespace bit::inline v0::detail::avx2
BIT_TARGET_END

BIT_TARGET_BEGIN("avx512f,avx2,fma")
namespace bit::inline v0::detail::avx512 {
#include <bit/backend/cpu/isa/backward.inl>
inline constexpr backward_microkernel_table backward = make_backward_table();
}  // namespace bit::inline v0::detail::avx512
BIT_TARGET_END

BIT_TARGET_BEGIN("avx512bf16,avx512bw,avx512vl,avx512dq,avx512f,avx2,fma")
namespace bit::inline v0::detail::avx512_bf16 {
#include <bit/backend/cpu/isa/backward.inl>
#include <bit/backend/cpu/isa/backward_pairs.inl>
}  // namespace bit::inline v0::detail::avx512_bf16
BIT_TARGET_END
#elif defined(__aarch64__)
namespace bit::inline v0::detail::neon {
#include <bit/backend/cpu/isa/backward.inl>
inline constexpr backward_microkernel_table backward = make_backward_table();
}  // namespace bit::inline v0::detail::neon
#endif

namespace bit::inline v0::detail {

BIT_FUNC const backward_microkernel_table& backward_microkernels_of(instruction_set isa) {
  switch (isa) {
#if defined(__x86_64__)
    case instruction_set::avx2:
      return avx2::backward;
    case instruction_set::avx512:
    case instruction_set::avx512_bf16:  // floats have nothing to gain from them
    case instruction_set::avx512_bf16_float:
      return avx512::backward;
#elif defined(__aarch64__)
    case instruction_set::neon:
      return neon::backward;
#endif
    default:
      return scalar::backward;
  }
}

template <class T>
const backward_map_microkernel_table<T>& backward_map_microkernels_of(instruction_set isa) {
  switch (isa) {
#if defined(__x86_64__)
    case instruction_set::avx2:
      return avx2::backward_map<T>;
    case instruction_set::avx512:
      return avx512::backward_map<T>;
    case instruction_set::avx512_bf16:
    case instruction_set::avx512_bf16_float:
      if constexpr (std::same_as<T, bfloat16>)
        return avx512_bf16::backward_map<T>;
      else
        return avx512::backward_map<T>;
#elif defined(__aarch64__)
    case instruction_set::neon:
      return neon::backward_map<T>;
#endif
    default:
      return scalar::backward_map<T>;
  }
}

template <class T>
const backward_pair_microkernel_table* backward_pair_microkernels_of([[maybe_unused]] instruction_set isa) {
#if defined(__x86_64__)
  if (isa == instruction_set::avx512_bf16) return &avx512_bf16::backward_pairs<T>;
#endif
  return nullptr;
}

}  // namespace bit::inline v0::detail
