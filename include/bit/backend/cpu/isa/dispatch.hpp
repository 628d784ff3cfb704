// Chooses the instruction set once: the best that the CPU and the system support, or what BIT_STATIC_ISA or the
// environment variable BIT_ISA (scalar, avx2, avx512, avx512_bf16) pins.
#pragma once

#include <bit/backend/cpu/isa/table.hpp>
#include <string>
#include <vector>

namespace bit::inline v0 {

/// Names of the instruction sets that this CPU can run, the best last. Thread-safe.
BIT_FUNC std::vector<std::string> available_isas();

namespace detail {

/// The kernels of one instruction set; throws config_error if `name` is unknown or the CPU lacks it.
BIT_FUNC const isa_kernels& kernels_of(const std::string& name);

/// The kernels to use when nobody names any. Reads BIT_ISA at each call; throws config_error if it names none that
/// the CPU can run.
BIT_FUNC const isa_kernels& default_kernels();

}  // namespace detail
}  // namespace bit::inline v0

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/isa/dispatch.ipp>
#endif
