// SPDX-License-Identifier: Apache-2.0
// The number types of tensors, in files and in a model's arithmetic: one enumeration for all of the library.
#pragma once

#include <bit/config.hpp>
#include <cstddef>

namespace bit::inline BIT_ABI {

/// The type of a tensor's elements. Checkpoint files may use all of them; only the floating ones from float16 on become
/// parameters, and a model computes in float32, bfloat16 or, in the reference backend, float64.
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

/// "float32", "bfloat16" and so on, for messages and listings.
constexpr const char* to_string(dtype type) {
  constexpr const char* names[] = {"bool",  "int8",   "uint8",  "int16",   "uint16",   "int32",   "uint32",
                                   "int64", "uint64", "float8", "float16", "bfloat16", "float32", "float64"};
  return names[static_cast<std::size_t>(type)];
}

}  // namespace bit::inline BIT_ABI
