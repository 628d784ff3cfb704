// SPDX-License-Identifier: Apache-2.0
// Measures what this machine can do at best at this moment: the ceilings (of a roofline) that a profile is read
// against.
#pragma once

#include <bit/backend/cpu/isa/dispatch.hpp>
#include <cstddef>

namespace bit::inline BIT_ABI::detail {

/// The rates of all threads together.
struct cpu_peak {
  double fma_gflops;       ///< 1e9 operations per second of the register tile on floats in L1; a multiply-add is two
  double bfloat16_gflops;  ///< the same for products of bfloat16, by instruction or in float
  double read_gbytes;      ///< 1e9 bytes per second read from main memory, each thread from a range of its own
};

/// The bytes that measure_peak allocates and reads: several times the last-level caches of common machines.
inline constexpr std::size_t peak_read_bytes = 256 * 1024 * 1024;

/// Measures these rates with `threads` threads, in about a quarter of a second. It takes the best of several
/// repetitions, so that other processes count little. Clock rates change with heat and load: compare only what was
/// measured in the same minute. Throws std::bad_alloc.
BIT_FUNC cpu_peak measure_peak(std::size_t threads, instruction_set isa);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/peak.ipp>
#endif
