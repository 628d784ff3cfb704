// Bodies of backend/cpu/isa/dispatch.hpp: the only place that instantiates the kernels.
#pragma once

#include <bit/backend/cpu/isa/avx2.hpp>
#include <bit/backend/cpu/isa/avx512.hpp>
#include <bit/backend/cpu/isa/avx512_bf16.hpp>
#include <bit/backend/cpu/isa/avx512_bf16_float.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/isa/neon.hpp>
#include <bit/backend/cpu/isa/scalar.hpp>
#include <bit/error.hpp>
#include <concepts>
#include <cstdlib>

namespace bit::inline v0 {
namespace detail {

/// What the CPU can run, the best last.
inline std::vector<instruction_set> available_instruction_sets() {
  std::vector<instruction_set> found{instruction_set::scalar};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back(instruction_set::avx2);
    if (__builtin_cpu_supports("avx512f")) {
      found.push_back(instruction_set::avx512);
      if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        // By maker, not by a measurement: Emerald Rapids reaches 178 GFLOP/s with bfloat16's instruction, 373 with float's.
        const bool slow_products = __builtin_cpu_is("intel");
        found.push_back(slow_products ? instruction_set::avx512_bf16 : instruction_set::avx512_bf16_float);
        found.push_back(slow_products ? instruction_set::avx512_bf16_float : instruction_set::avx512_bf16);
      }
    }
  }
#elif defined(__aarch64__)
  found.push_back(instruction_set::neon);  // part of the architecture: nothing to ask
#endif
  return found;
}

BIT_FUNC const char* name_of(instruction_set isa) {
  constexpr const char* names[] = {"scalar", "avx2", "avx512", "avx512_bf16", "avx512_bf16_float", "neon"};
  return names[static_cast<std::size_t>(isa)];
}

BIT_FUNC instruction_set instruction_set_of(const std::string& name) {
  std::string names;
  for (instruction_set isa : available_instruction_sets()) {
    if (name_of(isa) == name) return isa;
    names += names.empty() ? name_of(isa) : std::string(", ") + name_of(isa);
  }
  throw config_error("[isa] expected one of " + names + " (what this CPU can run), got \"" + name +
                     "\"; unset BIT_ISA to let the library choose");
}

BIT_FUNC instruction_set default_instruction_set() {
#if defined(BIT_STATIC_ISA)
  return instruction_set_of(BIT_STATIC_ISA);
#else
  const char* pinned = std::getenv("BIT_ISA");
  return pinned && *pinned ? instruction_set_of(pinned) : available_instruction_sets().back();
#endif
}

template <class T>
const microkernel_table<T>& microkernels_of(instruction_set isa) {
  switch (isa) {
#if defined(__x86_64__)
    case instruction_set::avx2:
      return avx2::table<T>;
    case instruction_set::avx512:
      return avx512::table<T>;
    case instruction_set::avx512_bf16:  // floats have nothing to gain from it
      if constexpr (std::same_as<T, bfloat16>)
        return avx512_bf16::table<bfloat16>;
      else
        return avx512::table<T>;
    case instruction_set::avx512_bf16_float:
      if constexpr (std::same_as<T, bfloat16>)
        return avx512_bf16_float::table<bfloat16>;
      else
        return avx512::table<T>;
#elif defined(__aarch64__)
    case instruction_set::neon:
      return neon::table<T>;
#endif
    default:
      return scalar::table<T>;
  }
}

}  // namespace detail

BIT_FUNC std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (detail::instruction_set isa : detail::available_instruction_sets()) names.emplace_back(detail::name_of(isa));
  return names;
}

}  // namespace bit::inline v0
