// xtensor at the door: aliases, memory layouts, and the letters that name dimensions everywhere:
//   n images, h rows, w columns, c channels, k the channels that a product sums over.
#pragma once

#include <array>
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

namespace bit::inline v0 {

/// Images and feature maps, (n,c,h,w) or (n,h,w,c) as a `layout` argument says.
template <class T>
using tensor4 = xt::xtensor<T, 4>;

/// Logits (n,classes), pooled features (n,c) and other tables.
template <class T>
using matrix = xt::xtensor<T, 2>;

/// One 8-bit RGB image (h,w,3), values 0..255.
using rgb_image = xt::xtensor<std::uint8_t, 3>;

/// Order of a batch of images in memory, row-major.
enum class layout {
  nchw,  ///< (n,c,h,w): PyTorch, timm
  nhwc,  ///< (n,h,w,c): TensorFlow, JAX, decoded images
};

/// Logical size of a batch of images or feature maps, whatever its layout in memory.
struct dims4 {
  std::size_t n = 0, c = 0, h = 0, w = 0;
  friend bool operator==(const dims4&, const dims4&) = default;
  /// Number of elements.
  constexpr std::size_t size() const { return n * c * h * w; }
};

/// "(n=1, c=3, h=224, w=224)", for messages.
inline std::string to_string(const dims4& d) {
  return "(n=" + std::to_string(d.n) + ", c=" + std::to_string(d.c) + ", h=" + std::to_string(d.h) +
         ", w=" + std::to_string(d.w) + ")";
}

/// The logical size of a row-major batch whose shape is given in `order`.
template <class Shape>
dims4 dims_of(const Shape& shape, layout order) {
  if (order == layout::nchw) return {shape[0], shape[1], shape[2], shape[3]};
  return {shape[0], shape[3], shape[1], shape[2]};
}

}  // namespace bit::inline v0
