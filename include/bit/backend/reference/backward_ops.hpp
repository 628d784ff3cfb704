// SPDX-License-Identifier: Apache-2.0
// The backward passes of the operations in ops.hpp, one function each: dv is the gradient of the loss with respect to v.
#pragma once

#include <bit/backend/reference/ops.hpp>

namespace bit::inline BIT_ABI::detail::ref {

/// Of standardise, w and dy (h,w,i,o): with y = (w - mean)·r and r = 1 / sqrt(variance + eps), means over (h,w,i),
/// dw = r·(dy - mean(dy) - y·mean(dy·y)).
template <class T>
tensor4<T> standardise_backward(const tensor4<T>& w, const tensor4<T>& dy, double eps) {
  const auto& s = w.shape();
  const kernel_moments moments = moments_of_kernel(std::span<const T>(w.data(), w.size()), s[0], s[1], s[2], s[3], eps);
  const std::array<std::size_t, 4> channels{1, 1, 1, s[3]};
  const xt::xtensor<double, 4> mean = xt::adapt(moments.mean, channels);
  const xt::xtensor<double, 4> r = 1.0 / xt::adapt(moments.deviation, channels);
  const xt::xtensor<double, 4> centred = w - mean;
  const xt::xtensor<double, 4> y = centred * r, g = xt::cast<double>(dy), gy = g * y;
  const xt::xtensor<double, 4> mean_g = xt::mean(g, {0, 1, 2}, xt::keep_dims);
  const xt::xtensor<double, 4> mean_gy = xt::mean(gy, {0, 1, 2}, xt::keep_dims);
  return xt::cast<T>(r * (g - mean_g - y * mean_gy));
}

/// Rows of pixels: (n,h,w,c) as (n·h·w, c).
template <class T>
matrix<T> as_rows(const tensor4<T>& x) {
  const auto& s = x.shape();
  return xt::reshape_view(x, {s[0] * s[1] * s[2], s[3]});
}

/// Of conv2d with respect to x (n,h,w,cin): dy (n,oh,ow,cout) times each tap's transposed matrix, added where the tap
/// has read.
template <class T>
tensor4<T> conv2d_backward_data(const tensor4<T>& dy, const tensor4<T>& kernel, const window& w, std::size_t height,
                                std::size_t width) {
  const auto& s = dy.shape();
  const std::size_t cin = kernel.shape()[2];
  tensor4<T> padded = xt::zeros<T>({s[0], height + 2 * w.padding, width + 2 * w.padding, cin});
  const matrix<T> rows = as_rows(dy);
  for (std::size_t ky = 0; ky < w.size; ++ky)
    for (std::size_t kx = 0; kx < w.size; ++kx) {
      const matrix<T> transposed = xt::transpose(xt::view(kernel, ky, kx, xt::all(), xt::all()));
      const matrix<T> pixels = product(rows, transposed);
      const std::size_t top = ky * w.dilation, left = kx * w.dilation;
      xt::view(padded, xt::all(), xt::range(top, top + (s[1] - 1) * w.stride + 1, w.stride),
               xt::range(left, left + (s[2] - 1) * w.stride + 1, w.stride), xt::all()) +=
          tensor4<T>(xt::reshape_view(pixels, {s[0], s[1], s[2], cin}));
    }
  return xt::view(padded, xt::all(), xt::range(w.padding, w.padding + height), xt::range(w.padding, w.padding + width),
                  xt::all());
}

/// Of conv2d with respect to the kernel (size,size,cin,cout): each tap's pixels of x, transposed, times dy.
template <class T>
tensor4<T> conv2d_backward_weights(const tensor4<T>& x, const tensor4<T>& dy, const window& w) {
  const tensor4<T> padded = pad(x, w.padding);
  const std::size_t oh = dy.shape()[1], ow = dy.shape()[2];
  tensor4<T> kernel = xt::zeros<T>({w.size, w.size, x.shape()[3], dy.shape()[3]});
  const matrix<T> rows = as_rows(dy);
  for (std::size_t ky = 0; ky < w.size; ++ky)
    for (std::size_t kx = 0; kx < w.size; ++kx) {
      const matrix<T> pixels = as_rows(tensor4<T>(tap(padded, w, ky, kx, oh, ow)));
      const matrix<T> transposed = xt::transpose(pixels);
      xt::view(kernel, ky, kx, xt::all(), xt::all()) = product(transposed, rows);
    }
  return kernel;
}

/// Of max_pool of x (n,h,w,c): dy goes to the first largest pixel of each window, row by row, zeros of the padding
/// included, whose gradient is lost.
template <class T>
tensor4<T> max_pool_backward(const tensor4<T>& x, const tensor4<T>& dy, const window& w) {
  const tensor4<T> padded = pad(x, w.padding);
  tensor4<T> dpadded = xt::zeros<T>(padded.shape());
  const auto& s = dy.shape();
  for (std::size_t n = 0; n < s[0]; ++n)
    for (std::size_t row = 0; row < s[1]; ++row)
      for (std::size_t column = 0; column < s[2]; ++column)
        for (std::size_t c = 0; c < s[3]; ++c) {
          std::size_t best_row = row * w.stride, best_column = column * w.stride;
          for (std::size_t i = 0; i < w.size * w.size; ++i) {
            const std::size_t y = row * w.stride + i / w.size, z = column * w.stride + i % w.size;
            if (!(padded(n, y, z, c) > padded(n, best_row, best_column, c))) continue;
            best_row = y;
            best_column = z;
          }
          dpadded(n, best_row, best_column, c) += dy(n, row, column, c);
        }
  const std::size_t p = w.padding;
  return xt::view(dpadded, xt::all(), xt::range(p, p + x.shape()[1]), xt::range(p, p + x.shape()[2]), xt::all());
}

/// What a norm's parameters and its input get; dgamma, dbeta (1,1,1,c).
template <class T>
struct norm_gradients {
  tensor4<T> dx, dgamma, dbeta;
};

/// Of norm_relu of x (n,h,w,c): with x̂ = (x - mean)·r, r = 1 / sqrt(variance + eps), m = dy where gamma·x̂ + beta > 0,
/// and means over (h,w,c/groups), dx = r·(gamma·m - mean(gamma·m) - x̂·mean(gamma·m·x̂)).
template <class T>
norm_gradients<T> norm_relu_backward(const tensor4<T>& x, const tensor4<T>& dy, std::size_t groups,
                                     const tensor4<T>& gamma, const tensor4<T>& beta, double eps) {
  using exact = xt::xtensor<double, 4>;
  const auto& s = x.shape();
  const std::array<std::size_t, 4> grouped{s[0], s[1] * s[2], groups, s[3] / groups};
  const exact g = xt::reshape_view(xt::cast<double>(x), grouped);
  const exact mean = xt::mean(g, {1, 3}, xt::keep_dims);
  const exact variance = xt::mean(xt::square(g - mean), {1, 3}, xt::keep_dims);
  const exact r = 1.0 / xt::sqrt(variance + eps), grouped_normal = (g - mean) * r;
  const exact normal = xt::reshape_view(grouped_normal, s);
  const exact m = xt::where(tensor4<T>(xt::cast<T>(normal) * gamma + beta) > T(0), xt::cast<double>(dy), 0.0);
  const exact mx = m * normal;
  const exact scaled = xt::reshape_view(exact(m * gamma), grouped), scaled_x = scaled * grouped_normal;
  const exact mean_1 = xt::mean(scaled, {1, 3}, xt::keep_dims), mean_x = xt::mean(scaled_x, {1, 3}, xt::keep_dims);
  const exact dx = r * (scaled - mean_1 - grouped_normal * mean_x);
  return {xt::cast<T>(xt::reshape_view(dx, s)), xt::cast<T>(xt::sum(mx, {0, 1, 2}, xt::keep_dims)),
          xt::cast<T>(xt::sum(m, {0, 1, 2}, xt::keep_dims))};
}

/// Of spatial_mean: dy (n,1,1,c) as (n,h,w,c), divided by the number of pixels.
template <class T>
tensor4<T> spatial_mean_backward(const tensor4<T>& dy, std::size_t height, std::size_t width) {
  const tensor4<T> ones = xt::ones<T>({dy.shape()[0], height, width, dy.shape()[3]});
  return ones * dy / static_cast<T>(height * width);
}

}  // namespace bit::inline BIT_ABI::detail::ref
