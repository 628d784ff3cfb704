// What the operations of the backward pass share: the state of a run, arrays in the arena, and the three small
// operations that prepare or follow a backward-data convolution.
#pragma once

#include <bit/backend/cpu/context.hpp>
#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/training_weights.hpp>

namespace bit::inline v0::detail {

/// The state of one run of a training plan. The three members added here are used in the backward pass only.
struct training_context : run_context {
  const float* dlogits = nullptr;  ///< (n,classes), row-major
  double scale = 1;                ///< factor of all parameters' gradients
  float* dimage = nullptr;         ///< (n,c,h,w), or null
};

/// An array in the arena that is neither a feature map nor statistics, for instance a packed kernel or its gradient.
struct array_ref {
  std::size_t offset = 0;

  template <class T>
  T* at(const run_context& run) const {
    return reinterpret_cast<T*>(run.arena + offset);
  }
};

/// Packs a kernel into the arena, panel by panel. The kernels that the backward pass reads are packed right before they
/// are read and dropped afterwards: kept from one step to the next they took 187 of R50x1's 1017 MB. Packing again
/// costs a micro-batch of two images 6 % more processor time; a step in a single micro-batch has to pack in any case.
template <class T>
struct pack_operation {
  const cpu_training_weights<T>* weights;
  packed_layout layout;
  array_ref to;

  std::size_t scratch_bytes() const { return weights->layout_scratch(layout) * sizeof(float); }
  void run(const training_context& run) const noexcept {
    run.work(layout.panels, [&](std::size_t panel) {
      weights->pack(layout, panel, to.at<T>(run), reinterpret_cast<float*>(run.scratch));
    });
  }
};

/// Zero insertion, the transpose of a stride: each pixel of `from` is followed by stride - 1 columns and rows of zeros
/// in `to`. A convolution of stride 1 over the result is the backward-data convolution of the strided one. Maps are of
/// type T.
template <class T>
struct zero_insertion_operation {
  std::size_t images, stride;
  feature_map_ref from, to;

  void run(const training_context& run) const noexcept {
    run.work(images * to.blocks, [&](std::size_t item) {
      const std::size_t n = item / to.blocks, b = item % to.blocks;
      const T* x = from.at<T>(run, n) + b * from.pixels() * block;
      T* y = to.at<T>(run, n) + b * to.pixels() * block;
      std::fill_n(y, to.pixels() * block, T(0.0f));
      for (std::size_t r = 0; r < from.height; ++r)
        for (std::size_t c = 0; c < from.width; ++c)
          std::copy_n(x + (r * from.width + c) * block, block, y + (r * to.width + c) * stride * block);
    });
  }
};

/// Adds each pixel (r, c) of `from` to pixel (r·stride, c·stride) of the larger map `to`: the transpose of reading
/// every stride-th pixel, as a strided 1x1 projection does.
template <class T>
struct scatter_operation {
  std::size_t images, stride;
  feature_map_ref from, to;

  void run(const training_context& run) const noexcept {
    run.work(images * to.blocks, [&](std::size_t item) {
      const std::size_t n = item / to.blocks, b = item % to.blocks;
      const T* x = from.at<T>(run, n) + b * from.pixels() * block;
      T* y = to.at<T>(run, n) + b * to.pixels() * block;
      for (std::size_t r = 0; r < from.height; ++r)
        for (std::size_t c = 0; c < from.width; ++c, x += block)
          for (std::size_t i = 0; i < block; ++i) {
            T& sum = y[(r * to.width + c) * stride * block + i];
            sum = T(static_cast<float>(sum) + static_cast<float>(x[i]));
          }
    });
  }
};

}  // namespace bit::inline v0::detail
