// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/backward_weights_pairs.hpp.
#pragma once

#include <bit/backend/cpu/backward_weights_pairs.hpp>
#include <bit/backend/cpu/pack.ipp>

namespace bit::inline BIT_ABI::detail {

/// How many pairs of pixels a spatial tile has: 8 KB of a block of x and 16 KB of a panel of dy, which L1 holds
/// together.
inline constexpr std::size_t contracted_pairs = 128;

BIT_FUNC backward_weights_pairs_operation::backward_weights_pairs_operation(
    const microkernel_table<bfloat16>& microkernels, const backward_pair_microkernel_table& backward,
    std::size_t images, conv_input in, feature_map_ref dy, kernel_gradient_ref gradient)
    : microkernels_(&microkernels),
      backward_(&backward),
      images_(images),
      in_(in),
      dy_(dy),
      gradient_(gradient),
      items_(in.x.blocks, gradient.panels(), microkernels.tile_columns / block) {
  const auto& w = in.window;
  const std::size_t rows = std::clamp<std::size_t>(contracted_pairs / dy.width, 1, dy.height);
  row_tiles_ = (dy.height + rows - 1) / rows;
  const std::size_t together = row_tiles_ > 1 ? 1 : std::max<std::size_t>(contracted_pairs / dy.pixels(), 1);
  pair_groups_ = (pairs() + together - 1) / together;

  // A 1x1 kernel packs just the pixels that it reads, row by row; others pack all rows under the window, as conv.hpp
  // does.
  phase_columns_ = w.size == 1 ? dy.width : (in.x.width + 2 * w.padding + w.stride - 1) / w.stride;
  row_pixels_ = (w.size == 1 ? 1 : w.stride) * phase_columns_;
  pair_stride_ = row_pixels_ * pair_block * (w.size == 1 ? rows : (rows - 1) * w.stride + w.reach());
  block_stride_ = pair_stride_ * std::min(together, std::max<std::size_t>(pairs(), 1));
  dy_pair_size_ = rows * dy.width * pair_block;
}

BIT_FUNC std::size_t backward_weights_pairs_operation::scratch_bytes() const {
  const std::size_t together = block_stride_ / pair_stride_;
  return 4 * in_.x.blocks * block * sizeof(float) +
         (row_pixels_ * pair_block + items_.most_blocks() * block_stride_ + panel_blocks() * together * dy_pair_size_) *
             sizeof(bfloat16);
}

BIT_FUNC backward_weights_pairs_operation::buffers backward_weights_pairs_operation::divide(std::byte* scratch) const {
  const std::size_t channels = in_.x.blocks * block;
  buffers at{};
  float* norms = reinterpret_cast<float*>(scratch);
  for (std::size_t i = 0; i < 2; ++i) {
    at.scale[i] = norms + 2 * i * channels;
    at.shift[i] = at.scale[i] + channels;
  }
  at.a = reinterpret_cast<bfloat16*>(norms + 4 * channels);
  at.b = at.a + items_.most_blocks() * block_stride_;
  at.row[0] = at.b + panel_blocks() * (block_stride_ / pair_stride_) * dy_pair_size_;
  at.row[1] = at.row[0] + row_pixels_ * block;
  return at;
}

BIT_FUNC backward_weights_pairs_operation::spatial_tile backward_weights_pairs_operation::spatial_tile_at(
    std::size_t i) const {
  const std::size_t pair = i / row_tiles_, row = i % row_tiles_;
  return {{split_begin(pairs(), pair_groups_, pair), split_begin(pairs(), pair_groups_, pair + 1)},
          {split_begin(dy_.height, row_tiles_, row), split_begin(dy_.height, row_tiles_, row + 1)}};
}

BIT_FUNC void backward_weights_pairs_operation::run(const training_context& run) const noexcept {
  const buffers at = divide(run.scratch);
  run.work(items_.count(), [&](std::size_t item) {
    const work_range blocks = items_.blocks(item), panels = items_.panels(item);
    for (std::size_t i = 0; i < spatial_tiles(); ++i) {
      const spatial_tile c = spatial_tile_at(i);
      pack_x(run, at, c, blocks);
      for (std::size_t panel = panels.begin; panel < panels.end; ++panel) {
        pack_dy(run, at, c, panel);
        multiply(run, at, c, blocks, panel, i > 0);
      }
    }
  });
}

BIT_FUNC void backward_weights_pairs_operation::pack_x(const training_context& run, const buffers& at,
                                                       const spatial_tile& c, work_range blocks) const {
  for (std::size_t pair = c.pairs.begin; pair < c.pairs.end; ++pair) {
    for (std::size_t i = 0; i < 2 && 2 * pair + i < images_; ++i)
      in_.norm.fold(run, 2 * pair + i, at.scale[i], at.shift[i], blocks.begin * block, blocks.end * block);
    for (std::size_t b = blocks.begin; b < blocks.end; ++b)
      pack_block(run, at, pair, c.rows, b,
                 at.a + (b - blocks.begin) * block_stride_ + (pair - c.pairs.begin) * pair_stride_);
  }
}

/// Packs into `to` the pairs of one block of x that the output rows `rows` read.
BIT_FUNC void backward_weights_pairs_operation::pack_block(const training_context& run, const buffers& at,
                                                           std::size_t pair, work_range rows, std::size_t b,
                                                           bfloat16* to) const {
  const auto& w = in_.window;
  const feature_map_ref& x = in_.x;
  const pixel_reader<bfloat16> read(*microkernels_, pixel_reader<bfloat16>::to::packed, false);
  const std::size_t images = std::min<std::size_t>(images_ - 2 * pair, 2);
  const std::size_t first = rows.begin * w.stride;
  const std::size_t end = w.size == 1 ? 0 : (rows.end - 1) * w.stride + w.reach();
  const std::size_t count = w.size == 1 ? rows.end - rows.begin : end - first;
  for (std::size_t r = 0; r < count; ++r, to += row_pixels_ * pair_block) {
    for (std::size_t i = 0; i < images; ++i) {
      const bfloat16* plane = x.at<bfloat16>(run, 2 * pair + i) + b * x.pixels() * block;
      const float *scale = at.scale[i] + b * block, *shift = at.shift[i] + b * block;
      if (w.size == 1) {
        read(reinterpret_cast<std::byte*>(at.row[i]), plane + (rows.begin + r) * w.stride * x.width * block, dy_.width,
             w.stride, scale, shift);
        continue;
      }
      const std::size_t row = first + r;  // in the padded image
      const bool inside = row >= w.padding && row < w.padding + x.height;
      pack_row(read, reinterpret_cast<std::byte*>(at.row[i]),
               inside ? plane + (row - w.padding) * x.width * block : nullptr, x.width, w, phase_columns_, scale,
               shift);
    }
    backward_->interleave(to, at.row[0], images > 1 ? at.row[1] : nullptr, row_pixels_);
  }
}

BIT_FUNC void backward_weights_pairs_operation::pack_dy(const training_context& run, const buffers& at,
                                                        const spatial_tile& c, std::size_t panel) const {
  const std::size_t first = panel * panel_blocks(), pixels = (c.rows.end - c.rows.begin) * dy_.width;
  const std::size_t together = block_stride_ / pair_stride_;
  for (std::size_t b = first; b < std::min(first + panel_blocks(), dy_.blocks); ++b)
    for (std::size_t pair = c.pairs.begin; pair < c.pairs.end; ++pair) {
      const std::size_t from = (b * dy_.pixels() + c.rows.begin * dy_.width) * block;
      bfloat16* to = at.b + ((b - first) * together + pair - c.pairs.begin) * dy_pair_size_;
      backward_->interleave(to, dy_.at<bfloat16>(run, 2 * pair) + from,
                            2 * pair + 1 < images_ ? dy_.at<bfloat16>(run, 2 * pair + 1) + from : nullptr, pixels);
    }
}

BIT_FUNC void backward_weights_pairs_operation::multiply(const training_context& run, const buffers& at,
                                                         const spatial_tile& c, work_range blocks, std::size_t panel,
                                                         bool add) const {
  const auto& w = in_.window;
  pair_product p{};
  p.a_row = (w.size == 1 ? 1 : w.stride) * row_pixels_ * pair_block;
  p.a_image = pair_stride_;
  p.b = at.b;
  // What is computed for columns beyond the last is never read.
  p.b_block = (panel + 1) * panel_blocks() <= dy_.blocks ? block_stride_ / pair_stride_ * dy_pair_size_ : 0;
  p.b_row = dy_.width * pair_block;
  p.b_image = dy_pair_size_;
  p.columns = dy_.width;
  p.rows = c.rows.end - c.rows.begin;
  p.images = c.pairs.end - c.pairs.begin;
  if (w.size == 1) {  // rows are contiguous in x and in dy
    p.columns *= p.rows;
    p.rows = 1;
  }
  p.add = add;
  for (std::size_t b = blocks.begin; b < blocks.end; ++b)
    for (std::size_t tap = 0; tap < w.size * w.size; ++tap) {
      const std::size_t ky = tap / w.size * w.dilation, kx = tap % w.size * w.dilation;
      const bfloat16* a = at.a + (b - blocks.begin) * block_stride_ +
                          (ky * row_pixels_ + (kx % w.stride) * phase_columns_ + kx / w.stride) * pair_block;
      for (std::size_t m = 0; m < block; m += backward_->outer_rows) {
        p.a = a + 2 * m;
        p.sum = gradient_.row(run, panel, tap, b * block + m);
        backward_->outer(p);
      }
    }
}

}  // namespace bit::inline BIT_ABI::detail
