// Bodies of backend/cpu/isa/dispatch.hpp: the only place that instantiates the kernels.
#pragma once

#include <bit/backend/cpu/isa/avx2.hpp>
#include <bit/backend/cpu/isa/avx512.hpp>
#include <bit/backend/cpu/isa/avx512_bf16.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/isa/scalar.hpp>
#include <bit/error.hpp>
#include <cstdlib>

namespace bit::inline v0 {
namespace detail {

inline constexpr isa_kernels scalar_kernels = {"scalar", scalar::table<float>, scalar::table<bfloat16>};
#if defined(__x86_64__)
inline constexpr isa_kernels avx2_kernels = {"avx2", avx2::table<float>, avx2::table<bfloat16>};
inline constexpr isa_kernels avx512_kernels = {"avx512", avx512::table<float>, avx512::table<bfloat16>};
inline constexpr isa_kernels avx512_bf16_kernels = {"avx512_bf16", avx512::table<float>, avx512_bf16::table<bfloat16>};
#endif

/// Tables that the CPU can run, the best last.
inline std::vector<const isa_kernels*> available_kernels() {
  std::vector<const isa_kernels*> tables{&scalar_kernels};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables.push_back(&avx2_kernels);
    if (__builtin_cpu_supports("avx512f")) {
      tables.push_back(&avx512_kernels);
      if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        tables.push_back(&avx512_bf16_kernels);
    }
  }
#endif
  return tables;
}

BIT_FUNC const isa_kernels& kernels_of(const std::string& name) {
  std::string names;
  for (const isa_kernels* table : available_kernels()) {
    if (table->name == name) return *table;
    names += names.empty() ? table->name : std::string(", ") + table->name;
  }
  throw config_error("[isa] expected one of " + names + " (what this CPU can run), got \"" + name +
                     "\"; unset BIT_ISA to let the library choose");
}

BIT_FUNC const isa_kernels& default_kernels() {
#if defined(BIT_STATIC_ISA)
  return kernels_of(BIT_STATIC_ISA);
#else
  const char* pinned = std::getenv("BIT_ISA");
  return pinned && *pinned ? kernels_of(pinned) : *available_kernels().back();
#endif
}

}  // namespace detail

BIT_FUNC std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const detail::isa_kernels* table : detail::available_kernels()) names.emplace_back(table->name);
  return names;
}

}  // namespace bit::inline v0
