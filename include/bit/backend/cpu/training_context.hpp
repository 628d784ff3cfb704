// What the operations of the backward pass share.
#pragma once

#include <bit/backend/cpu/context.hpp>
#include <bit/backend/cpu/isa/backward_table.hpp>
#include <bit/backend/cpu/training_weights.hpp>

namespace bit::inline v0::detail {

/// The state of one run of a training plan. What it adds is read by the backward pass alone.
struct training_context : run_context {
  const float* dlogits = nullptr;  ///< gradient of the logits, (n,classes), row-major
  double scale = 1;                ///< factor of what is added to the parameters' gradients; taps are not scaled
};

/// Packs a kernel of a model in training into the arena; an item is a panel. Kernels of the backward pass are packed right
/// before they are read, and their memory is free after: kept from one step to the next they were 187 of R50x1's 1017 MB.
/// A micro-batch of two images takes 6 % more processor time for it, a whole batch none.
template <class T>
struct pack_operation {
  const cpu_training_weights<T>* weights;
  packed_layout layout;
  array_ref to;

  std::size_t scratch_bytes() const { return weights->layout_scratch(layout) * sizeof(float); }
  std::size_t max_items() const { return layout.panels; }
  void run(const training_context& run) const noexcept {
    run.work(layout.panels, [&](std::size_t panel) {
      weights->pack(layout, panel, to.at<T>(run), reinterpret_cast<float*>(run.scratch));
    });
  }
};

/// Inserts (stride - 1) rows and columns of zeros after each pixel of a feature map of type T, which takes a gradient back
/// through a stride. An item is one block of channels of one image.
template <class T>
struct zero_insertion_operation {
  std::size_t images, stride;
  feature_map_ref from, to;

  std::size_t max_items() const { return images * to.blocks; }
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

/// Adds every pixel (r,c) of a feature map of type T to pixel (r·stride, c·stride) of a larger one. An item is one block
/// of channels of one image.
template <class T>
struct scatter_operation {
  std::size_t images, stride;
  feature_map_ref from, to;

  std::size_t max_items() const { return images * to.blocks; }
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
