// Bodies of backend/cpu/conv.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <bit/backend/cpu/conv.hpp>
#include <bit/backend/cpu/pack.ipp>

namespace bit::inline v0::detail {

template <class T>
conv_operation<T>::conv_operation(const microkernel_table<T>& microkernels, std::size_t images, feature_map_ref y,
                                  conv_input main)
    : microkernels_(&microkernels), images_(images), y_(y) {
  sources_.push_back({main});
  choose_spatial_tiles();
}

template <class T>
void conv_operation<T>::add_projection(conv_input projection) {
  sources_.push_back({projection});
  choose_spatial_tiles();
}

template <class T>
void conv_operation<T>::choose_spatial_tiles() {
  choose_spatial_tiles(false);
  if (!by_rows() || !gains_by_merging()) return;
  const std::size_t separate = spatial_tiles_;
  choose_spatial_tiles(true);
  if (spatial_tiles_ > separate) choose_spatial_tiles(false);  // each chunk reads all weights
}

/// A unit (pixel or row of output) of all sources takes `bytes`; as many chunks as keep one below the limit, and at
/// least four for large maps so that threads can share an image. Joined rows may take half as much again: a strided
/// kernel of 512 channels on 7x7 pixels (645 KB) takes 764 µs so and 779 with its rows apart (Emerald Rapids).
template <class T>
void conv_operation<T>::choose_spatial_tiles(bool merged) {
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
  // Small images share one pass over the weights of a 1x1 convolution, in twice the room of a chunk. A 3x3 one reads a
  // panel (590 KB at 512 channels) once per row: more images beside it would push it out of L2.
  images_per_item_ = std::max<std::size_t>(2 * spatial_tile_bytes / (bytes * (spatial_tile_extent_ + halo)), 1);
  images_per_item_ =
      spatial_tiles_ > 1 || by_rows() ? 1 : std::max<std::size_t>(std::min(images_per_item_, images_), 1);
  for (source& s : sources_) s = make_source(s.in);
  const std::size_t panel_bytes = weight_bytes() / std::max<std::size_t>(panels(), 1);
  const bool many_tiles = by_rows() ? spatial_tile_extent_ > 1 : spatial_tile_extent_ > microkernels_->tile_rows;
  k_blocks_ = std::is_same_v<T, float> && many_tiles
                  ? std::max<std::size_t>((panel_bytes + k_block_bytes - 1) / k_block_bytes, 1)
                  : 1;
}

template <class T>
std::size_t conv_operation<T>::scratch_bytes() const {
  std::size_t bytes = 0;
  for (const source& s : sources_)
    bytes +=
        s.in.x.blocks * 2 * block * sizeof(float) + images_per_item_ * s.image_stride * microkernels_->packed_bytes;
  return bytes;
}

template <class T>
std::size_t conv_operation<T>::weight_bytes() const {
  std::size_t bytes = 0;
  for (const source& s : sources_) bytes += s.in.kernel.template bytes<T>();
  return bytes;
}

template <class T>
std::size_t conv_operation<T>::sum_blocks() const {
  std::size_t blocks = 0;
  for (const source& s : sources_) blocks += taps() * s.in.x.blocks;
  return blocks;
}

template <class T>
typename conv_operation<T>::buffers conv_operation<T>::divide(std::byte* scratch) const {
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

/// Pixels are shared while there are enough chunks; otherwise the panels are, too: a thread packs a chunk once for all
/// its groups of panels.
template <class T>
typename conv_operation<T>::split conv_operation<T>::split_for(std::size_t threads) const {
  const std::size_t most = std::max<std::size_t>(images_ * spatial_tiles_ / threads, 1);
  const std::size_t images = std::min(images_per_item_, most), batches = (images_ + images - 1) / images;
  const std::size_t pieces = std::max<std::size_t>(batches * spatial_tiles_, 1);
  const std::size_t wanted = threads > 1 ? (items_per_thread * threads + pieces - 1) / pieces : 1;
  return {images, batches, std::min(wanted, panels())};
}

template <class T>
typename conv_operation<T>::item conv_operation<T>::item_at(const split& s, std::size_t i) const {
  const std::size_t group = i % s.groups, piece = i / s.groups, batch = piece / spatial_tiles_;
  return {{split_begin(images_, s.batches, batch), split_begin(images_, s.batches, batch + 1)},
          {split_begin(panels(), s.groups, group), split_begin(panels(), s.groups, group + 1)},
          piece % spatial_tiles_};
}

template <class T>
work_range conv_operation<T>::k_block_range(std::size_t k_block) const {
  return {split_begin(sum_blocks(), k_blocks_, k_block), split_begin(sum_blocks(), k_blocks_, k_block + 1)};
}

template <class T>
next_weights conv_operation<T>::weights_of(const run_context& run, std::size_t panel, std::size_t k_block) const {
  const auto memory = [&](const weights_ref& kernel) {
    return memory_range{reinterpret_cast<const std::byte*>(kernel.panel<T>(run, panel)), kernel.panel_size * sizeof(T)};
  };
  const work_range blocks = k_block_range(k_block);
  return next_weights{memory(sources_.front().in.kernel),
                      sources_.size() > 1 ? memory(sources_[1].in.kernel) : memory_range{}}
      .part(blocks.begin, blocks.end, sum_blocks());
}

template <class T>
next_weights conv_operation<T>::first_read(const run_context& run) const {
  const split s = split_for(run.threads);
  const std::size_t items = s.batches * spatial_tiles_ * s.groups;
  return items == 0 ? next_weights{} : weights_of(run, item_at(s, run.first_item(items)).panels.begin, 0);
}

template <class T>
void conv_operation<T>::run(const run_context& run) const noexcept {
  const split s = split_for(run.threads);
  const std::size_t items = s.batches * spatial_tiles_ * s.groups;
  const buffers at = divide(run.scratch);
  std::size_t packed = items;    // the piece in scratch; items: none
  std::size_t folded = images_;  // the image whose norms are in scratch; images_: none
  run.work(items, [&](std::size_t i) {
    const item what = item_at(s, i);
    if (i / s.groups != packed) pack(run, what, at, folded);
    packed = i / s.groups;
    multiply(run, what, at, after(run, s, i));
  });
}

/// What this thread reads after item `i`, as far as it is known and laid out for it: pixels of single images.
template <class T>
typename conv_operation<T>::next_reads conv_operation<T>::after(const run_context& run, const split& s,
                                                                std::size_t i) const {
  const std::size_t items = s.batches * spatial_tiles_ * s.groups, following = run.following(items, i);
  next_reads next{following < items ? weights_of(run, item_at(s, following).panels.begin, 0) : run.next, {}};
  const std::size_t piece = i / s.groups * s.groups;
  const std::size_t first = run.own_or_none(items, run.backwards() ? piece - 1 : piece + s.groups);
  if (first == items || s.images > 1) return next;
  for (std::size_t j = 0; j < sources_.size(); ++j) next.pixels[j] = read_by(run, sources_[j], item_at(s, first));
  return next;
}

/// What packing an item of one image reads of a source. A strided 1x1 convolution skips most lines: nothing for it.
template <class T>
plane_lines conv_operation<T>::read_by(const run_context& run, const source& s, const item& what) const {
  const auto& w = s.in.window;
  if (!by_rows() && w.stride > 1) return {};
  work_range pixels = rows_or_pixels_of(what.spatial_tile);
  if (by_rows()) {
    const std::size_t begin = pixels.begin * w.stride, end = (pixels.end - 1) * w.stride + w.reach();
    pixels = {(std::max(begin, w.padding) - w.padding) * s.in.x.width,
              std::min(end - std::min(end, w.padding), s.in.x.height) * s.in.x.width};
  }
  if (pixels.begin >= pixels.end) return {};
  const T* x = s.in.x.template at<T>(run, what.images.begin) + pixels.begin * block;
  return {reinterpret_cast<const std::byte*>(x), s.in.x.pixels() * block * sizeof(T),
          (pixels.end - pixels.begin) * block * sizeof(T) / 64};
}

template <class T>
void conv_operation<T>::multiply(const run_context& run, const item& what, const buffers& at,
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

template <class T>
typename conv_operation<T>::tiling conv_operation<T>::tiling_of(const item& what) const {
  const work_range range = rows_or_pixels_of(what.spatial_tile);
  const std::size_t extent = range.end - range.begin, lines = by_rows() && !merged_rows_ ? extent : 1;
  const std::size_t line = by_rows() ? extent * y_.width / lines : extent;
  return {line, lines, (line + microkernels_->tile_rows - 1) / microkernels_->tile_rows};
}

/// The taps (k x k) or sources (1x1) of a K block, cut at its ends; each prefetches the same part of `next`.
template <class T>
typename conv_operation<T>::k_segments conv_operation<T>::k_segments_of(const run_context& run, const item& what,
                                                                        std::size_t panel, std::size_t k_block,
                                                                        const next_weights& next) const {
  const auto [begin, end] = k_block_range(k_block);
  const tiling t = tiling_of(what);
  const std::size_t calls = t.lines * t.tiles * (what.images.end - what.images.begin);
  const std::size_t prefetches =
      weight_prefetches((t.line + t.tiles - 1) / t.tiles, microkernels_->tile_rows, microkernels_->tile_columns);
  const auto& w = sources_.front().in.window;
  k_segments found{};
  std::size_t at = 0;  // blocks of k before this tap or source
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
          s.in.kernel.template panel<T>(run, panel) + row * microkernels_->tile_columns,
          prefetcher(next.part(first - begin, last - begin, end - begin).begin(), calls, last - first, prefetches)};
    }
    at += s.in.x.blocks;
  }
  return found;
}

/// What stretch `part` of tile `call` of all `calls` over a chunk asks for; of a k x k kernel's taps the first.
template <class T>
prefetch_stream conv_operation<T>::share_of(const plane_lines& all, const k_segment& part, std::size_t call,
                                            std::size_t calls) {
  if (part.tap > 0) return {};
  return all.stream(part.first_block, split_begin(all.lines, calls, call), split_begin(all.lines, calls, call + 1));
}

template <class T>
void conv_operation<T>::multiply_k_block(const run_context& run, const item& what, const buffers& at, sum_position in,
                                         k_segments& sum, const next_reads& next) const {
  const std::size_t panel_blocks = microkernels_->tile_columns / block, first_block = in.panel * panel_blocks;
  const work_range range = rows_or_pixels_of(what.spatial_tile);
  const bool rows = by_rows(), last = in.k_block + 1 == k_blocks_;
  const auto [line, lines, tiles] = tiling_of(what);
  const std::size_t held = in.image - what.images.begin;

  std::array<segment<T>, 9> segments{};
  tile_output<T> out{};
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
      out.y = y_.at<T>(run, in.image) + to;
      out.residual = in.k_block > 0 ? out.y : has_residual_ ? residual_.at<T>(run, in.image) + to : nullptr;
      microkernels_->tile[size - 1](segments.data(), sum.count, out);
    }
}

}  // namespace bit::inline v0::detail
