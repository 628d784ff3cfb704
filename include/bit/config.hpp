// Version, build modes and optional libraries: the only file that defines BIT_ macros.
// Header-only is the default; the target bit::bit defines BIT_COMPILED and carries the bodies in its library.
#pragma once

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

// BIT_TARGET_BEGIN("avx2,fma") ... BIT_TARGET_END compiles the functions between them for another instruction set than
// the translation unit's. Inside: no #include of foreign headers, no lambdas, no OpenMP pragmas, no vector types in
// signatures of functions called from outside (-Wpsabi speaks of just those calls, which there are none of).
#if defined(__clang__)
#define BIT_PRAGMA(x) _Pragma(#x)
#define BIT_TARGET_BEGIN(isa) BIT_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define BIT_TARGET_END _Pragma("clang attribute pop")
#else
#define BIT_PRAGMA(x) _Pragma(#x)
#define BIT_TARGET_BEGIN(isa)                                                                              \
  _Pragma("GCC push_options") _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wpsabi\"") \
      BIT_PRAGMA(GCC target(isa))
#define BIT_TARGET_END _Pragma("GCC diagnostic pop") _Pragma("GCC pop_options")
#endif

// BIT_STATIC_ISA="avx2" (or "scalar", "avx512", "neon"), if the build defines it, pins the kernels; otherwise the best that the
// CPU has is chosen at run time.
