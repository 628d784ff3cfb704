// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/backward_weights.hpp.
#pragma once

#include <bit/backend/cpu/backward_weights.hpp>
#include <bit/backend/cpu/pack.ipp>
#include <concepts>

namespace bit::inline BIT_ABI::detail {

/// How many pixels a spatial tile has: 16 KB of packed pixels of a block and 32 KB of a panel of dy. Float sums of so
/// few terms are accurate, too; the results of spatial tiles are added one after the other.
inline constexpr std::size_t contracted_pixels = 256;
/// How many work items a kernel's gradient is divided into, if it has so many blocks and panels.
inline constexpr std::size_t wanted_items = 16;

BIT_FUNC kernel_gradient_items::kernel_gradient_items(std::size_t blocks, std::size_t panels, std::size_t packed_blocks)
    : blocks_(blocks), panels_(panels) {
  const std::size_t wanted = std::min(wanted_items, blocks * panels);
  std::size_t least = SIZE_MAX;
  for (std::size_t groups = 1; groups <= std::min(blocks, wanted); ++groups) {
    const std::size_t others = std::min((wanted + groups - 1) / groups, panels);
    const std::size_t packed = others * blocks + groups * panels * packed_blocks;
    if (groups * others < wanted || packed >= least) continue;
    least = packed;
    block_groups_ = groups;
    panel_groups_ = others;
  }
}

template <class F>
backward_weights_operation<F>::backward_weights_operation(const microkernel_table<F>& microkernels,
                                                          const backward_microkernel_table& backward,
                                                          std::size_t images, conv_input in, feature_map_ref dy,
                                                          kernel_gradient_ref gradient)
    : microkernels_(&microkernels),
      backward_(&backward),
      images_(images),
      in_(in),
      dy_(dy),
      gradient_(gradient),
      items_(in.x.blocks, gradient.panels(),
             std::same_as<feature_map_of<F>, float> ? 0 : backward.tile_columns / block) {
  const auto& w = in.window;
  const std::size_t rows = std::clamp<std::size_t>(contracted_pixels / dy.width, 1, dy.height);
  row_tiles_ = (dy.height + rows - 1) / rows;
  const std::size_t together = row_tiles_ > 1 ? 1 : std::max<std::size_t>(contracted_pixels / dy.pixels(), 1);
  image_groups_ = (images + together - 1) / together;

  // A 1x1 kernel packs just the pixels that it reads, row by row; others pack all rows under the window, as conv.hpp
  // does.
  phase_columns_ = w.size == 1 ? dy.width : (in.x.width + 2 * w.padding + w.stride - 1) / w.stride;
  row_size_ = (w.size == 1 ? 1 : w.stride) * phase_columns_ * block;
  image_stride_ = row_size_ * (w.size == 1 ? rows : (rows - 1) * w.stride + w.reach());
  const std::size_t most_images = std::min(together, std::max<std::size_t>(images, 1));
  block_stride_ = image_stride_ * most_images;
  scale_size_ = in.x.blocks * block;
  dy_image_stride_ = rows * dy.width * block;
  dy_block_stride_ = dy_image_stride_ * most_images;
}

template <class F>
std::size_t backward_weights_operation<F>::scratch_bytes() const {
  const std::size_t dy_size = std::same_as<feature_map_of<F>, float> ? 0 : panel_blocks() * dy_block_stride_;
  return (2 * scale_size_ + items_.most_blocks() * block_stride_ + dy_size) * sizeof(float);
}

template <class F>
typename backward_weights_operation<F>::spatial_tile backward_weights_operation<F>::spatial_tile_at(
    std::size_t i) const {
  const std::size_t image = i / row_tiles_, row = i % row_tiles_;
  return {{split_begin(images_, image_groups_, image), split_begin(images_, image_groups_, image + 1)},
          {split_begin(dy_.height, row_tiles_, row), split_begin(dy_.height, row_tiles_, row + 1)}};
}

template <class F>
void backward_weights_operation<F>::run(const training_context& run) const noexcept {
  run.work(items_.count(), [&](std::size_t item) {
    const work_range blocks = items_.blocks(item), panels = items_.panels(item);
    for (std::size_t i = 0; i < spatial_tiles(); ++i) {
      const spatial_tile c = spatial_tile_at(i);
      pack(run, c, blocks);
      for (std::size_t panel = panels.begin; panel < panels.end; ++panel) multiply(run, c, blocks, panel, i > 0);
    }
  });
}

template <class F>
void backward_weights_operation<F>::pack(const training_context& run, const spatial_tile& c, work_range blocks) const {
  float *scale = reinterpret_cast<float*>(run.scratch), *shift = scale + scale_size_;
  const auto& w = in_.window;
  const feature_map_ref& x = in_.x;
  const pixel_reader<F> read(*microkernels_, pixel_reader<F>::to::floats, false);
  for (std::size_t n = c.images.begin; n < c.images.end; ++n) {
    in_.norm.fold(run, n, scale, shift, blocks.begin * block, blocks.end * block);
    for (std::size_t b = blocks.begin; b < blocks.end; ++b) {
      const map* plane = x.at<map>(run, n) + b * x.pixels() * block;
      float* out = packed_x(run) + (b - blocks.begin) * block_stride_ + (n - c.images.begin) * image_stride_;
      const float *s = scale + b * block, *t = shift + b * block;
      if (w.size == 1) {
        for (std::size_t r = c.rows.begin; r < c.rows.end; ++r, out += row_size_)
          read(reinterpret_cast<std::byte*>(out), plane + r * w.stride * x.width * block, dy_.width, w.stride, s, t);
        continue;
      }
      const std::size_t first = c.rows.begin * w.stride, end = (c.rows.end - 1) * w.stride + w.reach();
      for (std::size_t row = first; row < end; ++row, out += row_size_) {
        const bool inside = row >= w.padding && row < w.padding + x.height;
        pack_row(read, reinterpret_cast<std::byte*>(out),
                 inside ? plane + (row - w.padding) * x.width * block : nullptr, x.width, w, phase_columns_, s, t);
      }
    }
  }
}

/// The floats of a panel of dy: where dy is float they are read in place, else they are widened into scratch, behind
/// the packed pixels of x.
template <class F>
typename backward_weights_operation<F>::dy_panel backward_weights_operation<F>::read_dy(const training_context& run,
                                                                                        const spatial_tile& c,
                                                                                        std::size_t panel) const {
  const std::size_t first = panel * panel_blocks(), end = std::min(first + panel_blocks(), dy_.blocks);
  const auto from = [&](std::size_t b, std::size_t n) {
    return dy_.at<map>(run, n) + (b * dy_.pixels() + c.rows.begin * dy_.width) * block;
  };
  dy_panel dy;
  if constexpr (std::same_as<feature_map_of<F>, float>) {
    dy = {from(first, c.images.begin), dy_.pixels() * block, dy_.image_size()};
  } else {
    float* to = packed_x(run) + items_.most_blocks() * block_stride_;
    dy = {to, dy_block_stride_, dy_image_stride_};
    for (std::size_t b = first; b < end; ++b)
      for (std::size_t n = c.images.begin; n < c.images.end; ++n)
        microkernels_->widen(to + (b - first) * dy_block_stride_ + (n - c.images.begin) * dy_image_stride_, from(b, n),
                             (c.rows.end - c.rows.begin) * dy_.width, 1);
  }
  if (end - first < panel_blocks()) dy.block_stride = 0;  // what is computed for columns beyond the last is never read
  return dy;
}

template <class F>
void backward_weights_operation<F>::multiply(const training_context& run, const spatial_tile& c, work_range blocks,
                                             std::size_t panel, bool add) const {
  const auto& w = in_.window;
  const dy_panel dy = read_dy(run, c, panel);
  outer_product p{};
  p.a_pixel = block;
  p.a_row = w.size == 1 ? row_size_ : w.stride * row_size_;
  p.a_image = image_stride_;
  p.b = dy.at;
  p.b_block = dy.block_stride;
  p.b_row = dy_.width * block;
  p.b_image = dy.image_stride;
  p.columns = dy_.width;
  p.rows = c.rows.end - c.rows.begin;
  p.images = c.images.end - c.images.begin;
  if (w.size == 1) {  // rows are contiguous in x and in dy
    p.columns *= p.rows;
    p.rows = 1;
  }
  p.count = backward_->outer_rows;
  p.add = add;
  for (std::size_t b = blocks.begin; b < blocks.end; ++b)
    for (std::size_t tap = 0; tap < w.size * w.size; ++tap) {
      const std::size_t ky = tap / w.size * w.dilation, kx = tap % w.size * w.dilation;
      const float* a = packed_x(run) + (b - blocks.begin) * block_stride_ + ky * row_size_ +
                       ((kx % w.stride) * phase_columns_ + kx / w.stride) * block;
      for (std::size_t m = 0; m < block; m += backward_->outer_rows) {
        p.a = a + m;
        p.sum = gradient_.row(run, panel, tap, b * block + m);
        backward_->outer(p);
      }
    }
}

BIT_FUNC void standardise_backward_operation::run(const training_context& run) const noexcept {
  const std::size_t width = microkernels->tile_columns, cout = gradient.how.columns, rows = gradient.how.rows_per_tap;
  run.work(gradient.panels(), [&](std::size_t panel) {
    alignas(64) double sums[64] = {}, products[64] = {}, factor[64] = {};
    const std::size_t first = panel * width, columns = std::min(width, cout - first);
    const double *mean = standard->mean.data() + first, *scale = standard->scale.data() + first;
    const float* w = parameter->value.data() + first;
    for (std::size_t tap = 0; tap < gradient.how.taps; ++tap)
      microkernels->standardise_sums(sums, products, gradient.row(run, panel, tap, 0), w + tap * rows * cout, cout,
                                     rows, columns, mean, scale);
    for (std::size_t c = 0; c < columns; ++c) {
      sums[c] /= static_cast<double>(rows * gradient.how.taps);
      products[c] /= static_cast<double>(rows * gradient.how.taps);
      factor[c] = run.scale * scale[c];
    }
    float* dw = parameter->gradient.data() + first;
    for (std::size_t tap = 0; tap < gradient.how.taps; ++tap)
      microkernels->standardise_apply(dw + tap * rows * cout, gradient.row(run, panel, tap, 0), w + tap * rows * cout,
                                      cout, rows, columns, mean, scale, factor, sums, products);
  });
}

}  // namespace bit::inline BIT_ABI::detail
