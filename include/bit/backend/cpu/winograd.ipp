// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/winograd.hpp.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/winograd.hpp>
#include <limits>
#include <type_traits>

namespace bit::inline BIT_ABI::detail {

template <class F>
winograd_operation<F>::winograd_operation(const microkernel_table<F>& microkernels, std::size_t images,
                                          feature_map_ref y, conv_input input, std::size_t tile)
    : microkernels_(&microkernels),
      transforms_(tile == 2 ? &microkernels.winograd_2x2 : &microkernels.winograd_4x4),
      images_(images),
      y_(y),
      in_(input),
      m_(tile),
      t_(tile + 2),
      tile_rows_((y.height + tile - 1) / tile),
      tile_columns_((y.width + tile - 1) / tile) {
  spatial_tiles_ = (image_tiles() + group_tiles - 1) / group_tiles;
  if (spatial_tiles_ > 1)
    spatial_tiles_ = std::min(spatial_tiles_ + spatial_tiles_ % 2, by_rows() ? tile_rows_ : image_tiles());
  if (spatial_tiles_ == 1)
    images_per_group_ = std::clamp<std::size_t>(group_tiles / image_tiles(), 1, std::max<std::size_t>(images, 1));
  std::size_t longest = 0;
  for (std::size_t c = 0; c < spatial_tiles_; ++c)
    longest = std::max(longest, spatial_tile_begin(c + 1) - spatial_tile_begin(c));
  group_size_ = longest * images_per_group_;
  strip_size_ = t_ * (std::min(tile_columns_, longest) * m_ + 2) * block;
  // One cache line more than the data, so that the t·t matrices that a transform writes at once fall into different
  // sets of L1.
  v_stride_ = in_.x.blocks * group_size_ * block + 64 / microkernels_->packed_bytes;
  product_stride_ = group_size_ * microkernels_->tile_columns + block;
}

template <class F>
std::size_t winograd_operation<F>::spatial_tile_begin(std::size_t spatial_tile) const {
  return by_rows() ? split_begin(tile_rows_, spatial_tiles_, spatial_tile) * tile_columns_
                   : split_begin(image_tiles(), spatial_tiles_, spatial_tile);
}

template <class F>
std::size_t winograd_operation<F>::groups() const {
  return spatial_tiles_ > 1 ? images_ * spatial_tiles_ : (images_ + images_per_group_ - 1) / images_per_group_;
}

template <class F>
std::size_t winograd_operation<F>::tiles_of(std::size_t group) const {
  if (spatial_tiles_ == 1) return std::min(images_per_group_, images_ - group * images_per_group_) * image_tiles();
  const std::size_t spatial_tile = group % spatial_tiles_;
  return spatial_tile_begin(spatial_tile + 1) - spatial_tile_begin(spatial_tile);
}

template <class F>
std::size_t winograd_operation<F>::scratch_bytes() const {
  return (2 * images_per_group_ * in_.x.blocks * block + strip_size_ + t_ * t_ * product_stride_) * sizeof(float) +
         t_ * t_ * v_stride_ * microkernels_->packed_bytes;
}

template <class F>
typename winograd_operation<F>::buffers winograd_operation<F>::divide(std::byte* scratch) const {
  buffers b{};
  b.scale = reinterpret_cast<float*>(scratch);
  b.shift = b.scale + images_per_group_ * in_.x.blocks * block;
  b.strip = b.shift + images_per_group_ * in_.x.blocks * block;
  b.products = b.strip + strip_size_;
  b.v = reinterpret_cast<std::byte*>(b.products + t_ * t_ * product_stride_);
  return b;
}

/// Calls f(tile_row) for every row of tiles in a group; the first and last are cut where the group's spatial tile
/// begins and ends.
template <class F>
template <class Function>
void winograd_operation<F>::for_each_row(std::size_t group, Function f) const {
  const std::size_t first = spatial_tiles_ > 1 ? group / spatial_tiles_ : group * images_per_group_;
  const std::size_t last = spatial_tiles_ > 1 ? first + 1 : std::min(first + images_per_group_, images_);
  const std::size_t spatial_tile = spatial_tiles_ > 1 ? group % spatial_tiles_ : 0,
                    end = spatial_tile_begin(spatial_tile + 1);
  std::size_t index = 0;
  for (std::size_t image = first; image < last; ++image)
    for (std::size_t tile = spatial_tile_begin(spatial_tile); tile < end;) {
      const std::size_t row = tile / tile_columns_, column = tile % tile_columns_;
      const std::size_t count = std::min(tile_columns_ - column, end - tile);
      f(tile_row{image, spatial_tile, row * m_, column * m_, count, index});
      tile += count;
      index += count;
    }
}

/// Where there are too few groups to share them evenly, the panels are divided as well. Several threads then transform
/// the same input, but each reads only its part of the kernel, which saves more.
template <class F>
std::size_t winograd_operation<F>::parts_for(std::size_t threads) const {
  const bool uneven = groups() < 4 * threads && groups() % threads != 0;
  return uneven ? std::min(threads, in_.kernel.panels) : 1;
}

template <class F>
next_weights winograd_operation<F>::first_product(const run_context& run, std::size_t panel) const {
  return {{reinterpret_cast<const std::byte*>(in_.kernel.template panel<weight>(run, panel)),
           in_.x.blocks * block * microkernels_->tile_columns * sizeof(weight)}};
}

template <class F>
next_weights winograd_operation<F>::first_read(const run_context& run) const {
  const std::size_t parts = parts_for(run.threads), items = groups() * parts;
  if (items == 0) return {};
  return first_product(run, split_begin(in_.kernel.panels, parts, run.first_item(items) % parts));
}

template <class F>
void winograd_operation<F>::run(const run_context& run) const noexcept {
  const std::size_t panels = in_.kernel.panels, item_groups = groups(), parts = parts_for(run.threads);
  const buffers b = divide(run.scratch);
  const std::size_t items = item_groups * parts;
  std::size_t transformed = item_groups;  // the group whose V the scratch holds; item_groups: none yet
  run.work(items, [&](std::size_t item) {
    const std::size_t group = item / parts, part = item % parts, following = run.following(items, item);
    if (group != transformed) transform_input(run, b, group);
    transformed = group;
    const std::size_t begin = split_begin(panels, parts, part), end = split_begin(panels, parts, part + 1);
    for (std::size_t panel = begin; panel < end; ++panel)
      multiply(run, b, group, panel,
               panel + 1 < end     ? first_product(run, panel + 1)
               : following < items ? first_product(run, split_begin(panels, parts, following % parts))
                                   : run.next);
  });
}

template <class F>
void winograd_operation<F>::transform_input(const run_context& run, const buffers& b, std::size_t group) const {
  const std::size_t channels = in_.x.blocks * block, first = group * images_per_group_, size = tiles_of(group);
  std::size_t folded = images_;
  for_each_row(group, [&](const tile_row& row) {
    const std::size_t slot = spatial_tiles_ > 1 ? 0 : row.image - first;
    float *scale = b.scale + slot * channels, *shift = b.shift + slot * channels;
    if (row.image != folded && in_.norm.gamma) in_.norm.fold(run, row.image, scale, shift);
    if (row.image != folded && !in_.norm.gamma) {
      std::fill_n(scale, channels, 1.0f);
      std::fill_n(shift, channels, 0.0f);
    }
    folded = row.image;
  });
  const float floor = in_.norm.gamma ? 0.0f : -std::numeric_limits<float>::infinity();
  for (std::size_t k = 0; k < in_.x.blocks; ++k)
    for_each_row(group, [&](const tile_row& row) {
      const std::size_t slot = spatial_tiles_ > 1 ? 0 : row.image - first, at = slot * channels + k * block;
      transforms_->input({in_.x.at<map>(run, row.image) + k * in_.x.pixels() * block, y_.height, y_.width, row.row,
                          row.column, row.tiles, b.scale + at, b.shift + at, floor, b.strip,
                          b.v + (k * size + row.index) * block * microkernels_->packed_bytes, v_stride_});
    });
}

/// Multiplies a group's V by one panel of the kernel and transforms the products to y. `next` is what is read after the
/// panel's last product.
template <class F>
void winograd_operation<F>::multiply(const run_context& run, const buffers& b, std::size_t group, std::size_t panel,
                                     const next_weights& next) const {
  const std::size_t width = microkernels_->tile_columns, panel_blocks = width / block,
                    first_block = panel * panel_blocks;
  const std::size_t blocks = std::min(panel_blocks, y_.blocks - first_block), size = tiles_of(group);
  const std::size_t parts = (size + microkernels_->tile_rows - 1) / microkernels_->tile_rows;
  memory_range weights = first_product(run, panel).first;
  for (std::size_t product = 0; product < t_ * t_; ++product) {
    const weight* u = reinterpret_cast<const weight*>(weights.begin);
    weights.begin += weights.bytes;
    // The weights of the next product are prefetched during this one, which saves a fifth of the time at batch 1.
    prefetcher ahead(
        product + 1 < t_ * t_ ? weights : next.first, parts, in_.x.blocks,
        weight_prefetches((size + parts - 1) / parts, microkernels_->tile_rows, microkernels_->tile_columns));
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t begin = split_begin(size, parts, part), rows = split_begin(size, parts, part + 1) - begin;
      const segment<weight> s{b.v + (product * v_stride_ + begin * block) * microkernels_->packed_bytes, size * block,
                              in_.x.blocks, u, ahead.next()};
      tile_output<float> out{};
      out.y = b.products + product * product_stride_ + begin * block;
      out.y_stride = size * block;
      out.blocks = blocks;
      if (m_ == 4 && std::is_same_v<weight, float>) out.blocks_per_sum = accurate_blocks_per_sum;
      microkernels_->product[rows - 1](&s, 1, out);
    }
  }
  for (std::size_t k = 0; k < blocks; ++k) transform_output(run, b, group, first_block + k, k);
}

/// Transforms block `k` of a panel's products to block `out_block` of y.
template <class F>
void winograd_operation<F>::transform_output(const run_context& run, const buffers& b, std::size_t group,
                                             std::size_t out_block, std::size_t k) const {
  const std::size_t size = tiles_of(group);
  std::size_t begun = images_;
  for_each_row(group, [&](const tile_row& row) {
    double* statistics = nullptr;
    if (has_statistics_) {
      statistics = statistics_.at(run, row.image) + (row.spatial_tile * y_.blocks + out_block) * 2 * block;
      if (row.image != begun) std::fill_n(statistics, 2 * block, 0.0);
    }
    begun = row.image;
    transforms_->output({b.products + (k * size + row.index) * block, product_stride_,
                         y_.at<map>(run, row.image) + out_block * y_.pixels() * block, y_.height, y_.width, row.row,
                         row.column, row.tiles, statistics});
  });
}

}  // namespace bit::inline BIT_ABI::detail
