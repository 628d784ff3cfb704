// SPDX-License-Identifier: Apache-2.0
// The operations of the network as mathematics: one function each, in xtensor expressions, shapes at the head.
#pragma once

#include <bit/detail/standardise.hpp>
#include <bit/program/geometry.hpp>
#include <bit/tensor.hpp>
#include <cmath>
#include <limits>
#include <span>

#if __has_include(<xtensor/core/xmath.hpp>)  // xtensor >= 0.26
#include <xtensor/core/xmath.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>
#endif
#include <xtensor-blas/xblas.hpp>

namespace bit::inline BIT_ABI::detail::ref {

/// Standardised kernel (h,w,i,o): see detail/standardise.hpp.
template <class T>
tensor4<T> standardise(const tensor4<T>& w, double eps) {
  const auto& s = w.shape();
  auto y = tensor4<T>::from_shape(s);
  standardise_kernel(std::span<const T>(w.data(), w.size()), s[0], s[1], s[2], s[3], eps,
                     std::span<T>(y.data(), y.size()));
  return y;
}

/// x (n,h,w,c) with `padding` zeros around rows and columns.
template <class T>
tensor4<T> pad(const tensor4<T>& x, std::size_t padding) {
  const auto& s = x.shape();
  tensor4<T> y = xt::zeros<T>({s[0], s[1] + 2 * padding, s[2] + 2 * padding, s[3]});
  xt::view(y, xt::all(), xt::range(padding, padding + s[1]), xt::range(padding, padding + s[2]), xt::all()) = x;
  return y;
}

/// The input pixels that tap (ky,kx) of a window meets: (n,oh,ow,c) out of the padded x.
template <class T>
auto tap(const tensor4<T>& padded, const window& w, std::size_t ky, std::size_t kx, std::size_t oh, std::size_t ow) {
  const std::size_t top = ky * w.dilation, left = kx * w.dilation;
  return xt::view(padded, xt::all(), xt::range(top, top + (oh - 1) * w.stride + 1, w.stride),
                  xt::range(left, left + (ow - 1) * w.stride + 1, w.stride), xt::all());
}

/// The product (m,n) of a (m,k) and b (k,n). xtensor-blas's linalg::dot takes operands of any dimension, and for that goes
/// through xt::xarray, which clang 19 cannot compile before xtensor 0.26.
template <class T>
matrix<T> product(const matrix<T>& a, const matrix<T>& b) {
  auto result = matrix<T>::from_shape({a.shape()[0], b.shape()[1]});
  xt::blas::gemm(a, b, result);
  return result;
}

/// Convolution without bias: x (n,h,w,cin), kernel (size,size,cin,cout) -> (n,oh,ow,cout); one matrix product per tap.
template <class T>
tensor4<T> conv2d(const tensor4<T>& x, const tensor4<T>& kernel, const window& w) {
  const tensor4<T> padded = pad(x, w.padding);
  const std::size_t n = x.shape()[0], oh = w.out(x.shape()[1]), ow = w.out(x.shape()[2]);
  const std::size_t cin = kernel.shape()[2], cout = kernel.shape()[3];
  matrix<T> sum = xt::zeros<T>({n * oh * ow, cout});
  for (std::size_t ky = 0; ky < w.size; ++ky)
    for (std::size_t kx = 0; kx < w.size; ++kx) {
      const matrix<T> pixels = xt::reshape_view(tensor4<T>(tap(padded, w, ky, kx, oh, ow)), {n * oh * ow, cin});
      const matrix<T> weights = xt::view(kernel, ky, kx, xt::all(), xt::all());
      sum += product(pixels, weights);
    }
  return xt::reshape_view(sum, {n, oh, ow, cout});
}

/// Zero-padded max-pool of x (n,h,w,c): zeros of the padding take part (see stem_pool).
template <class T>
tensor4<T> max_pool(const tensor4<T>& x, const window& w) {
  const tensor4<T> padded = pad(x, w.padding);
  const std::size_t oh = w.out(x.shape()[1]), ow = w.out(x.shape()[2]);
  tensor4<T> y = tap(padded, w, 0, 0, oh, ow);
  for (std::size_t ky = 0; ky < w.size; ++ky)
    for (std::size_t kx = 0; kx < w.size; ++kx) y = xt::maximum(y, tap(padded, w, ky, kx, oh, ow));
  return y;
}

/// Group norm of x (n,h,w,c) over (h,w,c/groups), then ReLU; gamma, beta (1,1,1,c). NaN stays NaN.
template <class T>
tensor4<T> norm_relu(const tensor4<T>& x, std::size_t groups, const tensor4<T>& gamma, const tensor4<T>& beta,
                     double eps) {
  const auto& s = x.shape();
  const std::array<std::size_t, 4> grouped{s[0], s[1] * s[2], groups, s[3] / groups};
  const xt::xtensor<double, 4> g = xt::reshape_view(xt::cast<double>(x), grouped);
  const xt::xtensor<double, 4> mean = xt::mean(g, {1, 3}, xt::keep_dims);
  const xt::xtensor<double, 4> variance = xt::mean(xt::square(g - mean), {1, 3}, xt::keep_dims);
  const tensor4<T> normal = xt::reshape_view(xt::cast<T>((g - mean) / xt::sqrt(variance + eps)), s);
  const tensor4<T> y = normal * gamma + beta;
  return xt::where(y < T(0), T(0), y);
}

/// Mean of x (n,h,w,c) over rows and columns: (n,c).
template <class T>
matrix<T> spatial_mean(const tensor4<T>& x) {
  return xt::cast<T>(xt::mean(xt::cast<double>(x), {1, 2}));
}

}  // namespace bit::inline BIT_ABI::detail::ref
