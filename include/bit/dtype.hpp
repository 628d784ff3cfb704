// The number formats of tensors in files, on devices and at the border to Python: one list for all of them.
#pragma once

#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline v0 {

/// How one element of a tensor is stored. Only the floating formats from float16 on can hold parameters.
enum class dtype {
  boolean,
  int8,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
  float8,
  float16,
  bfloat16,
  float32,
  float64
};

/// Bytes of one element.
constexpr std::size_t size_of(dtype type) {
  constexpr std::size_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 1, 2, 2, 4, 8};
  return sizes[static_cast<std::size_t>(type)];
}

/// The name in messages and listings: "float32", "bfloat16" and so on; boolean is "bool".
constexpr const char* to_string(dtype type) {
  constexpr const char* names[] = {"bool",  "int8",   "uint8",  "int16",   "uint16",   "int32",   "uint32",
                                   "int64", "uint64", "float8", "float16", "bfloat16", "float32", "float64"};
  return names[static_cast<std::size_t>(type)];
}

}  // namespace bit::inline v0
