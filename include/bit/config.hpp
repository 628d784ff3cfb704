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

// Optional libraries; the CMake targets set them to what they link. A build without one refuses its file format
// with a config_error that names the missing library.
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
