// Bodies of backend/cpu/isa/dispatch.hpp: the only place that instantiates the kernels.
#pragma once

#include <bit/backend/cpu/isa/avx2.hpp>
#include <bit/backend/cpu/isa/avx512.hpp>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/backend/cpu/isa/scalar.hpp>
#include <bit/error.hpp>
#include <cstdlib>

namespace bit::inline v0 {
namespace detail {

inline constexpr kernel_table scalar_kernels =
    scalar::make_table("scalar", std::make_integer_sequence<int, scalar::tile_rows>{});
#if defined(__x86_64__)
inline constexpr kernel_table avx2_kernels =
    avx2::make_table("avx2", std::make_integer_sequence<int, avx2::tile_rows>{});
inline constexpr kernel_table avx512_kernels =
    avx512::make_table("avx512", std::make_integer_sequence<int, avx512::tile_rows>{});
#endif

/// Tables that the CPU can run, the best last.
inline std::vector<const kernel_table*> available_kernels() {
  std::vector<const kernel_table*> tables{&scalar_kernels};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables.push_back(&avx2_kernels);
    if (__builtin_cpu_supports("avx512f")) tables.push_back(&avx512_kernels);
  }
#endif
  return tables;
}

BIT_FUNC const kernel_table& kernels_of(const std::string& name) {
  std::string names;
  for (const kernel_table* table : available_kernels()) {
    if (table->name == name) return *table;
    names += names.empty() ? table->name : std::string(", ") + table->name;
  }
  throw config_error("[isa] expected one of " + names + " (what this CPU can run), got \"" + name +
                     "\"; unset BIT_ISA to let the library choose");
}

BIT_FUNC const kernel_table& default_kernels() {
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
  for (const detail::kernel_table* table : detail::available_kernels()) names.emplace_back(table->name);
  return names;
}

}  // namespace bit::inline v0
