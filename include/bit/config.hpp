// SPDX-License-Identifier: Apache-2.0
// Version, build modes and optional libraries: the only file that defines BIT_ macros.
// Header-only is the default. With BIT_COMPILED headers declare and one library or unit holds the bodies: bit::bit, what
// bit_add_implementation() makes, or a unit of the program that includes bit/implementation.hpp.
#pragma once

#if __cplusplus < 202002L
#error "bit is written in C++20: compile with -std=c++20 or newer"
#endif

#define BIT_VERSION_MAJOR 0
#define BIT_VERSION_MINOR 1
#define BIT_VERSION_PATCH 0
#define BIT_VERSION "0.1.0"

// BIT_FUNC marks a function whose body stands in an .ipp file.
#if defined(BIT_COMPILED)
#define BIT_HEADER_ONLY 0
#define BIT_FUNC
#else
#define BIT_HEADER_ONLY 1
#define BIT_FUNC inline
#endif

// Optional libraries; the CMake targets set them to what they link. A build without one refuses its file format (without
// zlib: compressed npz files) with a config_error that names the missing library.
#ifndef BIT_HAS_ZLIB
#define BIT_HAS_ZLIB 0
#endif
#ifndef BIT_HAS_JPEG
#define BIT_HAS_JPEG 0
#endif
#ifndef BIT_HAS_PNG
#define BIT_HAS_PNG 0
#endif
#ifndef BIT_HAS_WEBP
#define BIT_HAS_WEBP 0
#endif

// BIT_ABI is the name of the library's inline namespace. Of a header-only unit it names what the unit's macros decide
// inside inline functions, so that two units that differ have functions of different names: each keeps its own, and where
// one hands the other a type of ours the program does not link. In compiled mode all is decided by what compiled the
// bodies, and any unit may use them.
#if BIT_HEADER_ONLY
#if BIT_HAS_JPEG
#define BIT_ABI_JPEG j
#else
#define BIT_ABI_JPEG
#endif
#if BIT_HAS_PNG
#define BIT_ABI_PNG p
#else
#define BIT_ABI_PNG
#endif
#if BIT_HAS_WEBP
#define BIT_ABI_WEBP w
#else
#define BIT_ABI_WEBP
#endif
#if BIT_HAS_ZLIB
#define BIT_ABI_ZLIB z
#else
#define BIT_ABI_ZLIB
#endif
#define BIT_JOIN_(a, b, c, d, e) a##b##c##d##e
#define BIT_JOIN(a, b, c, d, e) BIT_JOIN_(a, b, c, d, e)
#define BIT_ABI BIT_JOIN(v0_header_only_, BIT_ABI_JPEG, BIT_ABI_PNG, BIT_ABI_WEBP, BIT_ABI_ZLIB)
#else
#define BIT_ABI v0
#endif

// BIT_TARGET_BEGIN("avx2,fma") ... BIT_TARGET_END compiles the functions between them for another instruction set than
// the translation unit's, BIT_BASELINE_BEGIN ... BIT_BASELINE_END for the unit's own; both with gcc's full optimisation
// whatever the unit's flags: without it a Debug build of R50x1 took 715 ms instead of 30, with it 36. clang has no such
// pragma (bit_add_implementation gives the parts that hold microkernels -O2 where the build asks for less).
// Inside: no #include of foreign headers, no lambdas, no OpenMP pragmas, no vector types in signatures of functions
// called from outside (-Wpsabi speaks of just those calls, which there are none of).
#define BIT_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define BIT_TARGET_BEGIN(isa) BIT_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define BIT_TARGET_END _Pragma("clang attribute pop")
#define BIT_BASELINE_BEGIN
#define BIT_BASELINE_END
#else
#define BIT_BASELINE_BEGIN                                                                                 \
  _Pragma("GCC push_options") _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wpsabi\"") \
      _Pragma("GCC optimize(\"O3\")")
#define BIT_BASELINE_END _Pragma("GCC diagnostic pop") _Pragma("GCC pop_options")
#define BIT_TARGET_BEGIN(isa) BIT_BASELINE_BEGIN BIT_PRAGMA(GCC target(isa))
#define BIT_TARGET_END BIT_BASELINE_END
#endif

// BIT_ISAS="avx2,avx512", if the build defines it, lists the instruction sets whose microkernels are compiled (scalar, avx2,
// avx512, avx512_bf16, avx512_bf16_float, neon); all of the architecture otherwise. The best of them that the CPU has is
// chosen at run time. BIT_STATIC_ISA="avx2" compiles that one alone and makes no choice.
#if defined(BIT_STATIC_ISA)
#undef BIT_ISAS
#define BIT_ISAS BIT_STATIC_ISA
#elif !defined(BIT_ISAS)
#define BIT_ISAS ""
#endif
