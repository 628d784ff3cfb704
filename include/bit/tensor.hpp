// SPDX-License-Identifier: Apache-2.0
// xtensor at the door: aliases, memory layouts, and the letters that name dimensions everywhere:
//   n images, h rows, w columns, c channels, k the channels that a product sums over.
#pragma once

#include <array>
#include <bit/error.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

#if __has_include(<xtensor/containers/xtensor.hpp>)  // xtensor >= 0.26
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#else  // xtensor 0.24, as Debian 12 ships it
#include <xtensor/xadapt.hpp>
#include <xtensor/xtensor.hpp>
#endif

namespace bit::inline BIT_ABI {

/// It holds images and feature maps, (n,c,h,w) or (n,h,w,c) as a `layout` argument says.
template <class T>
using tensor4 = xt::xtensor<T, 4>;

/// It holds logits (n,classes), pooled features (n,c) and other tables.
template <class T>
using matrix = xt::xtensor<T, 2>;

/// It holds one 8-bit RGB image (h,w,3) with values 0..255.
using rgb_image = xt::xtensor<std::uint8_t, 3>;

/// The order of the axes of a batch of images in memory, row-major.
enum class layout {
  nchw,  ///< (n,c,h,w): PyTorch, timm
  nhwc,  ///< (n,h,w,c): TensorFlow, JAX, decoded images
};

/// A batch of images or feature maps has at most so many elements. A process can address 2^47 bytes (x86-64, aarch64),
/// so no larger one can exist; and the bytes of a few hundred maps below it, padding included, can be added up in 64
/// bits.
inline constexpr std::size_t max_elements = std::size_t{1} << 48;

/// This is the logical size of a batch of images or feature maps, whatever its layout in memory.
struct dims4 {
  std::size_t n = 0, c = 0, h = 0, w = 0;
  friend bool operator==(const dims4&, const dims4&) = default;
  /// Returns the number of elements. Throws shape_error if there are more than max_elements, also of a single image
  /// where n is 0: products of sizes are checked here and nowhere else.
  constexpr std::size_t size() const;
};

/// Returns the text "(n=1, c=3, h=224, w=224)", for messages.
inline std::string to_string(const dims4& d) {
  return "(n=" + std::to_string(d.n) + ", c=" + std::to_string(d.c) + ", h=" + std::to_string(d.h) +
         ", w=" + std::to_string(d.w) + ")";
}

constexpr std::size_t dims4::size() const {
  std::size_t elements = 1;
  for (const std::size_t factor : {c, h, w, n})
    if (__builtin_mul_overflow(elements, factor, &elements) || elements > max_elements)
      throw shape_error("[shape] expected at most 2^48 = " + std::to_string(max_elements) + " elements, got " +
                        to_string(*this));
  return elements;
}

/// Returns the logical size of a row-major batch whose shape is given in `order`.
template <class Shape>
dims4 dims_of(const Shape& shape, layout order) {
  if (order == layout::nchw) return {shape[0], shape[1], shape[2], shape[3]};
  return {shape[0], shape[3], shape[1], shape[2]};
}

}  // namespace bit::inline BIT_ABI
