// Bodies of backend/cpu/conv.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <bit/backend/cpu/conv.hpp>
#include <cstring>

namespace bit::inline v0::detail {

BIT_FUNC conv_operation::conv_operation(const kernel_table& kernels, std::size_t images, map_place y, conv_input main)
    : kernels_(&kernels), images_(images), y_(y) {
  sources_.push_back({main, 0, 0, 0});
  cut_into_chunks();
}

BIT_FUNC void conv_operation::add_projection(conv_input projection) {
  sources_.push_back({projection, 0, 0, 0});
  cut_into_chunks();
}

/// A unit (pixel or row of output) of all sources takes `bytes`; as many chunks as keep one below chunk_bytes, and at
/// least four for large maps so that threads can share an image.
BIT_FUNC void conv_operation::cut_into_chunks() {
  std::size_t bytes = 0, halo = 0;
  for (const source& s : sources_) {
    const auto& w = s.in.window;
    const std::size_t columns = by_rows() ? (s.in.x.width + 2 * w.padding) * w.stride : 1;
    bytes += s.in.x.blocks * columns * block * sizeof(float);
    if (by_rows()) halo = (w.reach() - 1 + w.stride - 1) / w.stride;
  }
  const std::size_t fit = std::max<std::size_t>(chunk_bytes / bytes, halo + 1) - halo;
  chunks_ = (units() + fit - 1) / fit;
  if (y_.pixels() >= 784) chunks_ = std::max<std::size_t>(chunks_, 4);
  if (chunks_ > 1) chunks_ += chunks_ % 2;
  chunks_ = std::max<std::size_t>(std::min(chunks_, units()), 1);
  chunk_units_ = (units() + chunks_ - 1) / chunks_;
  for (source& s : sources_) s = make_source(s.in);
}

BIT_FUNC conv_operation::source conv_operation::make_source(const conv_input& in) const {
  if (!by_rows()) return {in, 0, 1, chunk_units_ * block};
  const auto& w = in.window;
  const std::size_t rows = (chunk_units_ - 1) * w.stride + w.reach();
  const std::size_t columns = (in.x.width + 2 * w.padding + w.stride - 1) / w.stride;
  return {in, columns, rows, rows * w.stride * columns * block};
}

BIT_FUNC std::size_t conv_operation::scratch_bytes() const {
  std::size_t floats = 0;
  for (const source& s : sources_) floats += s.in.x.blocks * (s.block_stride + 2 * block);
  return floats * sizeof(float);
}

BIT_FUNC std::size_t conv_operation::weight_bytes() const {
  std::size_t bytes = 0;
  for (const source& s : sources_) bytes += s.in.kernel->bytes();
  return bytes;
}

BIT_FUNC void conv_operation::run(const run_context& run) const noexcept {
  const std::size_t panels = sources_.front().in.kernel->panels, pieces = images_ * chunks_;
  if (pieces == 0) return;
  // Too few pieces to share evenly: the panels are shared too, and each thread packs for itself.
  const bool uneven = pieces < 4 * run.threads && pieces % run.threads != 0;
  const std::size_t groups = std::min(uneven ? run.threads : 1, panels);

  std::array<float*, 2> scale{}, shift{}, packed{};
  float* next = reinterpret_cast<float*>(run.scratch);
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const std::size_t channels = sources_[i].in.x.blocks * block;
    scale[i] = next;
    shift[i] = next + channels;
    packed[i] = next + 2 * channels;
    next = packed[i] + sources_[i].in.x.blocks * sources_[i].block_stride;
  }
  const work_range mine = share(run, pieces * groups);
  std::size_t folded = images_, last_piece = pieces;
  for (std::size_t item = mine.begin; item < mine.end; ++item) {
    const std::size_t piece = item / groups, group = item % groups, n = piece / chunks_, chunk = piece % chunks_;
    if (n != folded)
      for (std::size_t i = 0; i < sources_.size(); ++i) sources_[i].in.norm.fold(run, n, scale[i], shift[i]);
    folded = n;
    if (piece != last_piece) {
      const work_range units_here{cut(units(), chunks_, chunk), cut(units(), chunks_, chunk + 1)};
      for (std::size_t i = 0; i < sources_.size(); ++i) {
        const float* x = sources_[i].in.x.at(run, n);
        if (by_rows())
          pack_rows(sources_[i], packed[i], x, scale[i], shift[i], units_here);
        else
          pack_pixels(sources_[i], packed[i], x, scale[i], shift[i], units_here);
      }
    }
    last_piece = piece;
    multiply(run, n, chunk, {cut(panels, groups, group), cut(panels, groups, group + 1)}, packed.data());
  }
}

BIT_FUNC void conv_operation::pack_pixels(const source& s, float* to, const float* x, const float* scale,
                                          const float* shift, work_range pixels) const {
  const std::size_t stride = s.in.window.stride, width = y_.width;
  for (std::size_t b = 0; b < s.in.x.blocks; ++b) {
    const float* plane = x + b * s.in.x.pixels() * block;
    float* out = to + b * s.block_stride;
    if (stride == 1) {
      kernels_->normalise(out, plane + pixels.begin * block, pixels.end - pixels.begin, 1, scale + b * block,
                          shift + b * block);
      continue;
    }
    for (std::size_t p = pixels.begin; p < pixels.end;) {  // one stretch per row of output
      const std::size_t row = p / width, column = p % width, count = std::min(width - column, pixels.end - p);
      kernels_->normalise(out, plane + (row * s.in.x.width + column) * stride * block, count, stride, scale + b * block,
                          shift + b * block);
      out += count * block;
      p += count;
    }
  }
}

/// Rows are stored phase by phase (all columns that are 0 modulo the stride, then 1, ...), so that the tile sees
/// consecutive pixels at every stride.
BIT_FUNC void conv_operation::pack_rows(const source& s, float* to, const float* x, const float* scale,
                                        const float* shift, work_range rows) const {
  const auto& w = s.in.window;
  const std::size_t first = rows.begin * w.stride, count = (rows.end - rows.begin - 1) * w.stride + w.reach();
  const std::size_t row_size = w.stride * s.phase_columns * block;
  for (std::size_t b = 0; b < s.in.x.blocks; ++b)
    for (std::size_t r = 0; r < count; ++r) {
      float* out = to + b * s.block_stride + r * row_size;
      const std::size_t row = first + r;  // in the padded image
      if (row < w.padding || row >= w.padding + s.in.x.height) {
        std::memset(out, 0, row_size * sizeof(float));
        continue;
      }
      const float* in = x + (b * s.in.x.pixels() + (row - w.padding) * s.in.x.width) * block;
      for (std::size_t phase = 0; phase < w.stride; ++phase) {
        // Padded column phase + i·stride is input column phase + i·stride - padding.
        const std::size_t skip = phase < w.padding ? (w.padding - phase + w.stride - 1) / w.stride : 0;
        const std::size_t start = phase + skip * w.stride - w.padding;
        const std::size_t inside = start < s.in.x.width ? (s.in.x.width - start + w.stride - 1) / w.stride : 0;
        float* columns = out + phase * s.phase_columns * block;
        const std::size_t left = std::min(skip, s.phase_columns), used = std::min(inside, s.phase_columns - left);
        std::memset(columns, 0, left * block * sizeof(float));
        if (used > 0)
          kernels_->normalise(columns + left * block, in + start * block, used, w.stride, scale + b * block,
                              shift + b * block);
        std::memset(columns + (left + used) * block, 0, (s.phase_columns - left - used) * block * sizeof(float));
      }
    }
}

BIT_FUNC void conv_operation::multiply(const run_context& run, std::size_t n, std::size_t chunk, work_range panels,
                                       const float* const packed[2]) const {
  const std::size_t width = kernels_->tile_columns, panel_blocks = width / block;
  const work_range range{cut(units(), chunks_, chunk), cut(units(), chunks_, chunk + 1)};
  const bool rows = by_rows();
  const std::size_t line = rows ? y_.width : range.end - range.begin, lines = rows ? range.end - range.begin : 1;
  const std::size_t tiles = (line + kernels_->tile_rows - 1) / kernels_->tile_rows;
  const auto& w = sources_.front().in.window;
  const std::size_t taps = w.size * w.size, count = rows ? taps : sources_.size();
  std::array<segment, 9> segments{};
  std::array<std::size_t, 9> tap_offset{};
  for (std::size_t i = 0; rows && i < taps; ++i) {
    const std::size_t ky = i / w.size * w.dilation, kx = i % w.size * w.dilation;
    const std::size_t phase_columns = sources_.front().phase_columns;
    tap_offset[i] = (ky * w.stride * phase_columns + kx % w.stride * phase_columns + kx / w.stride) * block;
  }

  for (std::size_t panel = panels.begin; panel < panels.end; ++panel) {
    const std::size_t first_block = panel * panel_blocks;
    if (first_block >= y_.blocks) break;
    tile_output out{};
    out.y_stride = y_.pixels() * block;
    out.blocks = std::min(panel_blocks, y_.blocks - first_block);
    if (has_statistics_) {
      out.statistics = statistics_.at(run, n) + (chunk * y_.blocks + first_block) * 2 * block;
      std::fill_n(out.statistics, out.blocks * 2 * block, 0.0);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const source& s = sources_[rows ? 0 : i];
      const float* weights = s.in.kernel->data.data() + panel * s.in.kernel->panel_size;
      segments[i] = {nullptr, s.block_stride, s.in.x.blocks, weights + (rows ? i * s.in.x.blocks * block * width : 0)};
    }
    for (std::size_t l = 0; l < lines; ++l)
      for (std::size_t t = 0; t < tiles; ++t) {
        const std::size_t begin = cut(line, tiles, t), size = cut(line, tiles, t + 1) - begin;
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t row = l * w.stride * w.stride * sources_.front().phase_columns * block;
          segments[i].a = (rows ? packed[0] + row + tap_offset[i] : packed[i]) + begin * block;
        }
        const std::size_t pixel = (rows ? (range.begin + l) * y_.width : range.begin) + begin;
        const std::size_t at = (first_block * y_.pixels() + pixel) * block;
        out.y = y_.at(run, n) + at;
        out.residual = has_residual_ ? residual_.at(run, n) + at : nullptr;
        kernels_->tile[size - 1](segments.data(), count, out);
      }
  }
}

}  // namespace bit::inline v0::detail
