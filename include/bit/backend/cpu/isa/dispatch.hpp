// Chooses the instruction set once: the best that the CPU and the system support, or what BIT_STATIC_ISA or the
// environment variable BIT_ISA (scalar, avx2, avx512, avx512_bf16, avx512_bf16_float, neon) pins.
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <string>
#include <vector>

namespace bit::inline v0 {

/// Names of the instruction sets that this CPU can run, the best last. Thread-safe.
BIT_FUNC std::vector<std::string> available_isas();

namespace detail {

/// What kernels are compiled for, by name as BIT_ISA has it.
enum class instruction_set { scalar, avx2, avx512, avx512_bf16, avx512_bf16_float, neon };

BIT_FUNC const char* name_of(instruction_set isa);

/// The instruction set of that name; throws config_error if it is unknown or the CPU lacks it.
BIT_FUNC instruction_set instruction_set_of(const std::string& name);

/// The one to use when nobody names any. Reads BIT_ISA at each call; throws config_error if it names none that the CPU
/// can run.
BIT_FUNC instruction_set default_instruction_set();

/// The kernels for numbers of type T. One function per type, so that a program compiles only the kernels that it can
/// call: half of them for a program without bfloat16.
template <class T>
const microkernel_table<T>& microkernels_of(instruction_set isa);

#if !BIT_HEADER_ONLY
extern template const microkernel_table<float>& microkernels_of<float>(instruction_set);
extern template const microkernel_table<bfloat16>& microkernels_of<bfloat16>(instruction_set);
#endif

}  // namespace detail
}  // namespace bit::inline v0

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/isa/dispatch.ipp>
#endif
