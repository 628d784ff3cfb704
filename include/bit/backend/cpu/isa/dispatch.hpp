// SPDX-License-Identifier: Apache-2.0
// Chooses the instruction set at run time: the best that the CPU and the operating system support, unless
// BIT_STATIC_ISA or the environment variable BIT_ISA (scalar, avx2, avx512, avx512_bf16, avx512_bf16_float, neon) pins
// one.
#pragma once

#include <bit/backend/cpu/isa/instruction_set.hpp>
#include <bit/backend/cpu/isa/table.hpp>
#include <string>
#include <vector>

namespace bit::inline BIT_ABI {

/// The names of the instruction sets that this CPU can run and this build holds microkernels for, the best last. Throws
/// config_error if there is none. Thread-safe.
BIT_FUNC std::vector<std::string> available_isas();

namespace detail {

/// The name that BIT_ISA has for an instruction set.
BIT_FUNC const char* name_of(instruction_set isa);

/// The instruction set of that name; throws config_error if it is unknown or the CPU lacks it.
BIT_FUNC instruction_set instruction_set_of(const std::string& name);

/// The instruction set that is used unless the caller names one. Reads BIT_ISA at each call and throws config_error if
/// it names an instruction set that is unknown or that the CPU cannot run. Thread-safe.
BIT_FUNC instruction_set default_instruction_set();

/// The microkernels for dtype F. There is one function per dtype, so that a program compiles only those
/// that it can call: half of them if it does not use bfloat16.
template <class F>
const microkernel_table<F>& microkernels_of(instruction_set isa);

#if !BIT_HEADER_ONLY
extern template const microkernel_table<float>& microkernels_of<float>(instruction_set);
extern template const microkernel_table<bfloat16>& microkernels_of<bfloat16>(instruction_set);
#endif

}  // namespace detail
}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/isa/dispatch.ipp>
#include <bit/backend/cpu/isa/microkernels_of.ipp>
#endif
