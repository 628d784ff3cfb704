// SPDX-License-Identifier: Apache-2.0
// Bodies of backend/cpu/conv.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <bit/backend/cpu/conv.hpp>
#include <bit/backend/cpu/pack.ipp>

namespace bit::inline BIT_ABI::detail {

template <class F>
conv_operation<F>::conv_operation(const microkernel_table<F>& microkernels, std::size_t images, feature_map_ref y,
                                  conv_input main)
    : microkernels_(&microkernels), images_(images), y_(y) {
  sources_.push_back({main});
  choose_spatial_tiles();
}

template <class F>
void conv_operation<F>::add_projection(conv_input projection) {
  sources_.push_back({projection});
  choose_spatial_tiles();
}

template <class F>
void conv_operation<F>::choose_spatial_tiles() {
  choose_spatial_tiles(false);
  if (!by_rows() || !gains_by_merging()) return;
  const std::size_t separate = spatial_tiles_;
  choose_spatial_tiles(true);
  if (spatial_tiles_ > separate) choose_spatial_tiles(false);  // each spatial tile reads all weights
}

/// Chooses the number of spatial tiles of an image. The packed input of one row (or pixel) of output takes `bytes` in
/// all sources together; there are as many spatial tiles as keep each below the limit, and at least four for large
/// maps, so that threads can share an image. Merged rows may take half as much again: a strided convolution of 512
/// channels on 7x7 pixels, 645 KB when packed so, takes 764 µs with merged rows and 779 µs with separate ones (Emerald
/// Rapids).
template <class F>
void conv_operation<F>::choose_spatial_tiles(bool merged) {
  merged_rows_ = merged;
  std::size_t bytes = 0, halo = 0;
  for (const source& s : sources_) {
    const auto& w = s.in.window;
    const column_groups groups = groups_of(s.in);
    bytes += s.in.x.blocks * groups.count * groups.columns * w.stride * block * microkernels_->packed_bytes;
    if (by_rows()) halo = (w.reach() - 1 + w.stride - 1) / w.stride;
  }
  const std::size_t usual =
      std::clamp(weight_bytes() / spatial_tile_share_of_kernel, spatial_tile_bytes, large_spatial_tile_bytes);
  const std::size_t limit = merged ? usual + usual / 2 : usual;
  const std::size_t fit = std::max<std::size_t>(limit / bytes, halo + 1) - halo;
  spatial_tiles_ = (rows_or_pixels() + fit - 1) / fit;
  if (y_.pixels() >= 784) spatial_tiles_ = std::max<std::size_t>(spatial_tiles_, 4);
  if (spatial_tiles_ > 1) spatial_tiles_ += spatial_tiles_ % 2;
  spatial_tiles_ = std::max<std::size_t>(std::min(spatial_tiles_, rows_or_pixels()), 1);
  spatial_tile_extent_ = 0;
  for (std::size_t c = 0; c < spatial_tiles_; ++c)
    spatial_tile_extent_ = std::max(spatial_tile_extent_, rows_or_pixels_of(c).end - rows_or_pixels_of(c).begin);
  // Several small images share one pass over the weights of a 1x1 convolution, in twice the bytes of a spatial tile. A
  // 3x3 convolution reads a panel (590 KB at 512 channels) once per row: more images beside it would push it out of L2.
  images_per_item_ = std::max<std::size_t>(2 * spatial_tile_bytes / (bytes * (spatial_tile_extent_ + halo)), 1);
  images_per_item_ =
      spatial_tiles_ > 1 || by_rows() ? 1 : std::max<std::size_t>(std::min(images_per_item_, images_), 1);
  for (source& s : sources_) s = make_source(s.in);
  const std::size_t panel_bytes = weight_bytes() / std::max<std::size_t>(panels(), 1);
  const bool many_tiles = by_rows() ? spatial_tile_extent_ > 1 : spatial_tile_extent_ > microkernels_->tile_rows;
  k_blocks_ = std::is_same_v<map, accumulator_of<F>> && many_tiles
                  ? std::max<std::size_t>((panel_bytes + k_block_bytes - 1) / k_block_bytes, 1)
                  : 1;
}

template <class F>
std::size_t conv_operation<F>::scratch_bytes() const {
  std::size_t bytes = 0;
  for (const source& s : sources_)
    bytes +=
        s.in.x.blocks * 2 * block * sizeof(float) + images_per_item_ * s.image_stride * microkernels_->packed_bytes;
  return bytes;
}

template <class F>
std::size_t conv_operation<F>::weight_bytes() const {
  std::size_t bytes = 0;
  for (const source& s : sources_) bytes += s.in.kernel.template bytes<weight>();
  return bytes;
}

template <class F>
std::size_t conv_operation<F>::sum_blocks() const {
  std::size_t blocks = 0;
  for (const source& s : sources_) blocks += taps() * s.in.x.blocks;
  return blocks;
}

template <class F>
typename conv_operation<F>::buffers conv_operation<F>::divide(std::byte* scratch) const {
  buffers at{};
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const std::size_t channels = sources_[i].in.x.blocks * block;
    at.scale[i] = reinterpret_cast<float*>(scratch);
    at.shift[i] = at.scale[i] + channels;
    scratch += 2 * channels * sizeof(float);
    at.packed[i] = scratch;
    scratch += images_per_item_ * sources_[i].image_stride * microkernels_->packed_bytes;
  }
  return at;
}

/// Divides the work for `threads` threads. If there are enough spatial tiles, an item takes all panels. If not, the
/// panels are divided, too; a thread packs a spatial tile once for all its groups of panels.
template <class F>
typename conv_operation<F>::split conv_operation<F>::split_for(std::size_t threads) const {
  const std::size_t most = std::max<std::size_t>(images_ * spatial_tiles_ / threads, 1);
  const std::size_t images = std::min(images_per_item_, most), batches = (images_ + images - 1) / images;
  const std::size_t tiles = std::max<std::size_t>(batches * spatial_tiles_, 1);
  const std::size_t wanted = threads > 1 ? (items_per_thread * threads + tiles - 1) / tiles : 1;
  return {images, batches, std::min(wanted, panels())};
}

template <class F>
typename conv_operation<F>::item conv_operation<F>::item_at(const split& s, std::size_t i) const {
  const std::size_t group = i % s.groups, tile = i / s.groups, batch = tile / spatial_tiles_;
  return {{split_begin(images_, s.batches, batch), split_begin(images_, s.batches, batch + 1)},
          {split_begin(panels(), s.groups, group), split_begin(panels(), s.groups, group + 1)},
          tile % spatial_tiles_};
}

template <class F>
work_range conv_operation<F>::k_block_range(std::size_t k_block) const {
  return {split_begin(sum_blocks(), k_blocks_, k_block), split_begin(sum_blocks(), k_blocks_, k_block + 1)};
}

template <class F>
next_weights conv_operation<F>::weights_of(const run_context& run, std::size_t panel, std::size_t k_block) const {
  const auto memory = [&](const weights_ref& kernel) {
    return memory_range{reinterpret_cast<const std::byte*>(kernel.panel<weight>(run, panel)),
                        kernel.panel_size * sizeof(weight)};
  };
  const work_range blocks = k_block_range(k_block);
  return next_weights{memory(sources_.front().in.kernel),
                      sources_.size() > 1 ? memory(sources_[1].in.kernel) : memory_range{}}
      .part(blocks.begin, blocks.end, sum_blocks());
}

template <class F>
next_weights conv_operation<F>::first_read(const run_context& run) const {
  const split s = split_for(run.threads);
  const std::size_t items = s.batches * spatial_tiles_ * s.groups;
  return items == 0 ? next_weights{} : weights_of(run, item_at(s, run.first_item(items)).panels.begin, 0);
}

template <class F>
void conv_operation<F>::run(const run_context& run) const noexcept {
  const split s = split_for(run.threads);
  const std::size_t items = s.batches * spatial_tiles_ * s.groups;
  const buffers at = divide(run.scratch);
  std::size_t packed = items;    // which spatial tile and images the scratch holds; items: none yet
  std::size_t folded = images_;  // the image whose folded norms the scratch holds; images_: none yet
  run.work(items, [&](std::size_t i) {
    const item what = item_at(s, i);
    if (i / s.groups != packed) pack(run, what, at, folded);
    packed = i / s.groups;
    multiply(run, what, at, after(run, s, i));
  });
}

/// What this thread reads after item `i`. Its next item is known unless other threads steal it; pixels are prefetched
/// only where an item has one image, because then they are a few contiguous ranges.
template <class F>
typename conv_operation<F>::next_reads conv_operation<F>::after(const run_context& run, const split& s,
                                                                std::size_t i) const {
  const std::size_t items = s.batches * spatial_tiles_ * s.groups, following = run.following(items, i);
  next_reads next{following < items ? weights_of(run, item_at(s, following).panels.begin, 0) : run.next, {}};
  const std::size_t first_of_tile = i / s.groups * s.groups;
  const std::size_t first = run.own_or_none(items, run.backwards() ? first_of_tile - 1 : first_of_tile + s.groups);
  if (first == items || s.images > 1) return next;
  for (std::size_t j = 0; j < sources_.size(); ++j) next.pixels[j] = read_by(run, sources_[j], item_at(s, first));
  return next;
}

template <class F>
void conv_operation<F>::multiply(const run_context& run, const item& what, const buffers& at,
                                 const next_reads& next) const {
  for (std::size_t panel = what.panels.begin; panel < what.panels.end; ++panel) {
    for (std::size_t k_block = 0; k_block < k_blocks_; ++k_block) {
      k_segments sum = k_segments_of(run, what, panel, k_block,
                                     k_block + 1 < k_blocks_       ? weights_of(run, panel, k_block + 1)
                                     : panel + 1 < what.panels.end ? weights_of(run, panel + 1, 0)
                                                                   : next.weights);
      for (std::size_t n = what.images.begin; n < what.images.end; ++n)
        multiply_k_block(run, what, at, {panel, k_block, n}, sum, next);
    }
  }
}

template <class F>
typename conv_operation<F>::tiling conv_operation<F>::tiling_of(const item& what) const {
  const work_range range = rows_or_pixels_of(what.spatial_tile);
  const std::size_t extent = range.end - range.begin, lines = by_rows() && !merged_rows_ ? extent : 1;
  const std::size_t line = by_rows() ? extent * y_.width / lines : extent;
  return {line, lines, (line + microkernels_->tile_rows - 1) / microkernels_->tile_rows};
}

/// The K segments of a K block: its taps (k x k) or sources (1x1), cut at the block's ends. A segment that is a given
/// fraction of the block prefetches the same fraction of `next`.
template <class F>
typename conv_operation<F>::k_segments conv_operation<F>::k_segments_of(const run_context& run, const item& what,
                                                                        std::size_t panel, std::size_t k_block,
                                                                        const next_weights& next) const {
  const auto [begin, end] = k_block_range(k_block);
  const tiling t = tiling_of(what);
  const std::size_t calls = t.lines * t.tiles * (what.images.end - what.images.begin);
  const std::size_t prefetches =
      weight_prefetches((t.line + t.tiles - 1) / t.tiles, microkernels_->tile_rows, microkernels_->tile_columns);
  const auto& w = sources_.front().in.window;
  k_segments found{};
  std::size_t at = 0;  // blocks of 16 channels in the taps or sources before this one
  for (std::size_t i = 0; i < (by_rows() ? taps() : sources_.size()); ++i) {
    const std::size_t which = by_rows() ? 0 : i, tap = by_rows() ? i : 0;
    const source& s = sources_[which];
    const std::size_t first = std::max(at, begin), last = std::min(at + s.in.x.blocks, end);
    if (first < last) {
      const std::size_t skipped = first - at, offset = by_rows() ? tap_offset(s, tap / w.size, tap % w.size) : 0;
      const std::size_t row = (tap * s.in.x.blocks + skipped) * block;
      found.items[found.count++] = {
          which,
          tap,
          offset + skipped * s.block_stride,
          skipped,
          last - first,
          s.in.kernel.template panel<weight>(run, panel) + row * microkernels_->tile_columns,
          prefetcher(next.part(first - begin, last - begin, end - begin).begin(), calls, last - first, prefetches)};
    }
    at += s.in.x.blocks;
  }
  return found;
}

/// What K segment `part` prefetches in register tile `call` of the `calls` tiles that go over a spatial tile: an equal
/// share of the lines `all`. In a k x k kernel only the first tap prefetches pixels.
template <class F>
prefetch_stream conv_operation<F>::share_of(const plane_lines& all, const k_segment& part, std::size_t call,
                                            std::size_t calls) {
  if (part.tap > 0) return {};
  return all.stream(part.first_block, split_begin(all.lines, calls, call), split_begin(all.lines, calls, call + 1));
}

template <class F>
void conv_operation<F>::multiply_k_block(const run_context& run, const item& what, const buffers& at, sum_position in,
                                         k_segments& sum, const next_reads& next) const {
  const std::size_t panel_blocks = microkernels_->tile_columns / block, first_block = in.panel * panel_blocks;
  const work_range range = rows_or_pixels_of(what.spatial_tile);
  const bool rows = by_rows(), last = in.k_block + 1 == k_blocks_;
  const auto [line, lines, tiles] = tiling_of(what);
  const std::size_t held = in.image - what.images.begin;

  std::array<segment<weight>, 9> segments{};
  tile_output<map> out{};
  out.y_stride = y_.pixels() * block;
  out.blocks = std::min(panel_blocks, y_.blocks - first_block);
  if (has_statistics_ && last) {
    out.statistics = statistics_.at(run, in.image) + (what.spatial_tile * y_.blocks + first_block) * 2 * block;
    std::fill_n(out.statistics, out.blocks * 2 * block, 0.0);
  }
  for (std::size_t l = 0; l < lines; ++l)
    for (std::size_t t = 0; t < tiles; ++t) {
      const std::size_t begin = split_begin(line, tiles, t), size = split_begin(line, tiles, t + 1) - begin;
      const std::size_t call = (in.panel * lines + l) * tiles + t, calls = panels() * lines * tiles;
      for (std::size_t i = 0; i < sum.count; ++i) {
        k_segment& part = sum.items[i];
        const source& s = sources_[part.source];
        const std::size_t from = held * s.image_stride + part.offset + l * s.row_stride + begin * block;
        segments[i] = {at.packed[part.source] + from * microkernels_->packed_bytes,
                       s.block_stride,
                       part.blocks,
                       part.weights,
                       part.ahead.next(),
                       share_of(next.pixels[part.source], part, call, calls)};
      }
      const std::size_t pixel = (rows ? (range.begin + l) * y_.width : range.begin) + begin;
      const std::size_t to = (first_block * y_.pixels() + pixel) * block;
      out.y = y_.at<map>(run, in.image) + to;
      out.residual = in.k_block > 0 ? out.y : has_residual_ ? residual_.at<map>(run, in.image) + to : nullptr;
      microkernels_->tile[size - 1](segments.data(), sum.count, out);
    }
}

}  // namespace bit::inline BIT_ABI::detail
