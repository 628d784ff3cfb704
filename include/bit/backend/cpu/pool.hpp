// SPDX-License-Identifier: Apache-2.0
// The network's last operations: norm, ReLU and the mean over rows and columns in one pass over the map, and the
// classifier, which multiplies the pooled features as a 1x1 convolution would, the images of the batch being its
// pixels.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/context.hpp>

namespace bit::inline BIT_ABI::detail {

/// A pool_step compiled for one shape, in dtype F. `pooled` is a matrix [c/16][images][16] of floats.
template <class F>
struct pool_operation {
  using map = feature_map_of<F>;

  const microkernel_table<F>* microkernels;
  std::size_t images;
  feature_map_ref x, features, pooled;  ///< `features` has no blocks if it is not an output
  norm_ref norm;

  std::size_t scratch_bytes() const { return 2 * x.blocks * block * sizeof(float); }

  std::size_t max_items() const { return images * x.blocks; }
  void run(const run_context& run) const noexcept {
    float* scale = reinterpret_cast<float*>(run.scratch);
    float* shift = scale + x.blocks * block;
    std::size_t folded = images;
    run.work(images * x.blocks, [&](std::size_t item) {
      const std::size_t n = item / x.blocks, b = item % x.blocks;
      if (n != folded) norm.fold(run, n, scale, shift);
      folded = n;
      const map* plane = x.at<map>(run, n) + b * x.pixels() * block;
      double sum[block] = {};
      microkernels->normalised_sum(sum, plane, x.pixels(), scale + b * block, shift + b * block);
      float* mean = pooled.at<float>(run, 0) + (b * images + n) * block;
      for (std::size_t c = 0; c < block; ++c) mean[c] = static_cast<float>(sum[c] / static_cast<double>(x.pixels()));
      if (features.blocks > 0)
        microkernels->normalise(features.at<map>(run, n) + b * x.pixels() * block, plane, x.pixels(), 1,
                                scale + b * block, shift + b * block);
    });
  }
};

/// A mean_step compiled for one shape: it averages the caller's map over rows and columns into a matrix
/// [c/16][images][16] of floats.
struct mean_operation {
  dims4 dims;
  feature_map_ref y;

  std::size_t max_items() const { return dims.n; }
  void run(const run_context& run) const noexcept {
    run.work(dims.n, [&](std::size_t n) {
      for (std::size_t c = 0; c < y.blocks * block; ++c) {
        double sum = 0;
        if (c < dims.c)
          for (std::size_t h = 0; h < dims.h; ++h)
            for (std::size_t w = 0; w < dims.w; ++w) sum += run.image.at(n, c, h, w);
        y.at<float>(run, 0)[(c / block * dims.n + n) * block + c % block] =
            static_cast<float>(sum / static_cast<double>(dims.h * dims.w));
      }
    });
  }
};

/// A head_step compiled for one shape: y = x·kernel + bias, where x and y are matrices [c/16][images][16] of floats.
/// The weights are read once, which takes all of the time (8 MB of floats for 1000 classes of R50x1, 0.2 ms).
template <class F>
struct head_operation {
  using weight = weight_of<F>;

  const microkernel_table<F>* microkernels;
  std::size_t images;
  feature_map_ref x, y;
  const packed_weights* kernel;
  const float* bias;

  /// The bytes of the pooled values as packed numbers; none if these are floats, which are read in place.
  std::size_t scratch_bytes() const {
    return microkernels->packed_bytes == sizeof(float) ? 0 : x.image_size() * microkernels->packed_bytes;
  }
  std::size_t weight_bytes() const { return kernel->data.size(); }
  next_weights first_read(const run_context& run) const {
    return {{reinterpret_cast<const std::byte*>(kernel->panel<weight>(run.first_item(kernel->panels))),
             kernel->panel_size * sizeof(weight)}};
  }

  std::size_t max_items() const { return kernel->panels; }
  void run(const run_context& run) const noexcept {
    const std::size_t panel_blocks = microkernels->tile_columns / block;
    const std::size_t tiles = (images + microkernels->tile_rows - 1) / microkernels->tile_rows;
    const std::byte* packed = reinterpret_cast<const std::byte*>(x.at<float>(run, 0));
    if (microkernels->packed_bytes != sizeof(float)) {
      microkernels->pack_floats(run.scratch, x.at<float>(run, 0), x.blocks * images);
      packed = run.scratch;
    }
    run.work(kernel->panels, [&](std::size_t panel) {
      const std::size_t first_block = panel * panel_blocks;
      tile_output<accumulator_of<F>> out{};
      out.y_stride = images * block;
      out.blocks = std::min(panel_blocks, y.blocks - first_block);
      for (std::size_t t = 0; t < tiles; ++t) {
        const std::size_t begin = split_begin(images, tiles, t), size = split_begin(images, tiles, t + 1) - begin;
        const segment<weight> s{packed + begin * block * microkernels->packed_bytes, images * block, x.blocks,
                                kernel->panel<weight>(panel)};
        out.y = y.at<float>(run, 0) + (first_block * images + begin) * block;
        microkernels->product[size - 1](&s, 1, out);
        for (std::size_t b = 0; b < out.blocks; ++b)
          for (std::size_t m = 0; m < size; ++m)
            for (std::size_t c = 0; c < block; ++c)
              out.y[b * out.y_stride + m * block + c] += bias[(first_block + b) * block + c];
      }
    });
  }
};

}  // namespace bit::inline BIT_ABI::detail
