// SPDX-License-Identifier: Apache-2.0
// How a conv_operation packs its input: it applies norm and ReLU on the way and puts the pixels that successive outputs
// read next to each other, whatever the stride. The offsets within a packed spatial tile are defined here, too.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/conv.hpp>
#include <cstring>

namespace bit::inline BIT_ABI::detail {

/// Copies pixels of one block of channels into numbers that a product reads, either through norm and ReLU or unchanged.
/// The numbers are packed ones, of microkernel_table::packed_bytes, or floats.
template <class F>
class pixel_reader {
 public:
  using map = feature_map_of<F>;
  enum class to { packed, floats };

  pixel_reader(const microkernel_table<F>& microkernels, to numbers, bool as_it_is)
      : microkernels_(&microkernels), numbers_(numbers), as_it_is_(as_it_is) {}

  /// The bytes of a pixel of 16 channels in the numbers that are written.
  std::size_t pixel_bytes() const {
    return block * (numbers_ == to::packed ? microkernels_->packed_bytes : sizeof(float));
  }
  /// Reads every stride-th pixel of `x`; scale and shift are those of the block, and not read if nothing is normalised.
  void operator()(std::byte* y, const map* x, std::size_t pixels, std::size_t stride, const float* scale,
                  const float* shift) const {
    if (numbers_ == to::packed && as_it_is_)
      microkernels_->pack(y, x, pixels, stride);
    else if (numbers_ == to::packed)
      microkernels_->pack_normalised(y, x, pixels, stride, scale, shift);
    else if (as_it_is_)
      microkernels_->widen(reinterpret_cast<float*>(y), x, pixels, stride);
    else
      microkernels_->normalise_to_float(reinterpret_cast<float*>(y), x, pixels, stride, scale, shift);
  }

 private:
  const microkernel_table<F>* microkernels_;
  to numbers_;
  bool as_it_is_;
};

/// Packs `columns` columns first + i·stride of one zero-padded row of a block of channels. `in` is the row's first
/// pixel, of `width`; a null `in` stands for a row of the padding and gives zeros.
template <class F>
void pack_columns(const pixel_reader<F>& read, std::byte* out, std::size_t columns, const feature_map_of<F>* in,
                  std::size_t width, std::size_t first, const window& w, const float* scale, const float* shift) {
  // How many of the columns lie in the padding left of the row, and which input column the next one is.
  const std::size_t skip = first < w.padding ? (w.padding - first + w.stride - 1) / w.stride : 0;
  const std::size_t start = first + skip * w.stride - w.padding, bytes = read.pixel_bytes();
  const std::size_t inside = in && start < width ? (width - start + w.stride - 1) / w.stride : 0;
  const std::size_t left = std::min(skip, columns), used = std::min(inside, columns - left);
  std::memset(out, 0, left * bytes);
  if (used > 0) read(out + left * bytes, in + start * block, used, w.stride, scale, shift);
  std::memset(out + (left + used) * bytes, 0, (columns - left - used) * bytes);
}

/// Packs a whole zero-padded row phase by phase: first all columns that are 0 modulo the stride, then those that are 1,
/// and so on, so that consecutive pixels of output read consecutive packed pixels at every stride.
template <class F>
void pack_row(const pixel_reader<F>& read, std::byte* out, const feature_map_of<F>* in, std::size_t width,
              const window& w, std::size_t phase_columns, const float* scale, const float* shift) {
  for (std::size_t phase = 0; phase < w.stride; ++phase)
    pack_columns(read, out + phase * phase_columns * read.pixel_bytes(), phase_columns, in, width, phase, w, scale,
                 shift);
}

/// Whether merged rows need at most two thirds as many register tiles as separate rows. Each tile reads all weights of
/// a panel, so fewer and larger tiles read less.
template <class F>
bool conv_operation<F>::gains_by_merging() const {
  const std::size_t rows = microkernels_->tile_rows;
  const std::size_t merged = (y_.pixels() + rows - 1) / rows, separate = y_.height * ((y_.width + rows - 1) / rows);
  return 3 * merged <= 2 * separate;
}

template <class F>
typename conv_operation<F>::column_groups conv_operation<F>::groups_of(const conv_input& in) const {
  const auto& w = in.window;
  if (!by_rows()) return {1, 1};
  if (merged_rows_) return {w.size, y_.width};
  return {w.stride, (in.x.width + 2 * w.padding + w.stride - 1) / w.stride};
}

template <class F>
typename conv_operation<F>::source conv_operation<F>::make_source(const conv_input& in) const {
  const auto& w = in.window;
  source s{.in = in, .groups = groups_of(in), .block_stride = spatial_tile_extent_ * block};
  if (by_rows()) {
    const std::size_t columns = s.groups.columns * block;
    const std::size_t phase_rows = ((spatial_tile_extent_ - 1) * w.stride + w.reach() + w.stride - 1) / w.stride;
    s.row_stride = merged_rows_ ? columns : s.groups.count * columns;
    s.phase_stride = phase_rows * s.row_stride;
    s.group_stride = merged_rows_ ? w.stride * s.phase_stride : columns;
    s.block_stride = s.groups.count * w.stride * phase_rows * columns;
  }
  // Rounded up to whole cache lines, so that the next source and the next image begin on one.
  s.image_stride = (in.x.blocks * s.block_stride + 31) / 32 * 32;
  return s;
}

template <class F>
std::size_t conv_operation<F>::tap_offset(const source& s, std::size_t ky, std::size_t kx) const {
  const auto& w = s.in.window;
  const std::size_t column = kx * w.dilation, row = s.row_offset(ky * w.dilation);
  if (merged_rows_) return row + kx * s.group_stride;
  return row + column % w.stride * s.group_stride + column / w.stride * block;
}

template <class F>
void conv_operation<F>::pack(const run_context& run, const item& what, const buffers& at, std::size_t& folded) const {
  for (std::size_t n = what.images.begin; n < what.images.end; ++n) {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const source& s = sources_[i];
      if (s.in.norm.gamma && n != folded) s.in.norm.fold(run, n, at.scale[i], at.shift[i]);
      std::byte* to = at.packed[i] + (n - what.images.begin) * s.image_stride * microkernels_->packed_bytes;
      const map* x = s.in.x.template at<map>(run, n);
      if (by_rows())
        pack_rows(s, to, x, at.scale[i], at.shift[i], rows_or_pixels_of(what.spatial_tile));
      else
        pack_pixels(s, to, x, at.scale[i], at.shift[i], rows_or_pixels_of(what.spatial_tile));
    }
    folded = n;
  }
}

template <class F>
void conv_operation<F>::pack_pixels(const source& s, std::byte* to, const map* x, const float* scale,
                                    const float* shift, work_range pixels) const {
  const std::size_t stride = s.in.window.stride, width = y_.width;
  const pixel_reader<F> read(*microkernels_, pixel_reader<F>::to::packed, !s.in.norm.gamma);
  for (std::size_t b = 0; b < s.in.x.blocks; ++b) {
    const map* plane = x + b * s.in.x.pixels() * block;
    std::byte* out = to + b * s.block_stride * microkernels_->packed_bytes;
    if (stride == 1) {
      read(out, plane + pixels.begin * block, pixels.end - pixels.begin, 1, scale + b * block, shift + b * block);
      continue;
    }
    for (std::size_t p = pixels.begin; p < pixels.end;) {  // one run of pixels for each row of output
      const std::size_t row = p / width, column = p % width, count = std::min(width - column, pixels.end - p);
      read(out, plane + (row * s.in.x.width + column) * stride * block, count, stride, scale + b * block,
           shift + b * block);
      out += count * read.pixel_bytes();
      p += count;
    }
  }
}

template <class F>
void conv_operation<F>::pack_rows(const source& s, std::byte* to, const map* x, const float* scale, const float* shift,
                                  work_range rows) const {
  const auto& w = s.in.window;
  const std::size_t first = rows.begin * w.stride, count = (rows.end - rows.begin - 1) * w.stride + w.reach();
  const pixel_reader<F> read(*microkernels_, pixel_reader<F>::to::packed, !s.in.norm.gamma);
  for (std::size_t b = 0; b < s.in.x.blocks; ++b)
    for (std::size_t r = 0; r < count; ++r) {
      const std::size_t row = first + r;  // in the padded image
      const bool inside = row >= w.padding && row < w.padding + s.in.x.height;
      const map* in = inside ? x + (b * s.in.x.pixels() + (row - w.padding) * s.in.x.width) * block : nullptr;
      for (std::size_t g = 0; g < s.groups.count; ++g) {
        const std::size_t at = b * s.block_stride + s.row_offset(r) + g * s.group_stride;
        pack_columns(read, to + at * microkernels_->packed_bytes, s.groups.columns, in, s.in.x.width,
                     merged_rows_ ? g * w.dilation : g, w, scale + b * block, shift + b * block);
      }
    }
}

/// The cache lines of a source that packing an item of one image reads. There are none for a strided 1x1 convolution,
/// which skips most of the lines in between.
template <class F>
plane_lines conv_operation<F>::read_by(const run_context& run, const source& s, const item& what) const {
  const auto& w = s.in.window;
  if (!by_rows() && w.stride > 1) return {};
  work_range pixels = rows_or_pixels_of(what.spatial_tile);
  if (by_rows()) {
    const std::size_t begin = pixels.begin * w.stride, end = (pixels.end - 1) * w.stride + w.reach();
    pixels = {(std::max(begin, w.padding) - w.padding) * s.in.x.width,
              std::min(end - std::min(end, w.padding), s.in.x.height) * s.in.x.width};
  }
  if (pixels.begin >= pixels.end) return {};
  const map* x = s.in.x.template at<map>(run, what.images.begin) + pixels.begin * block;
  return {reinterpret_cast<const std::byte*>(x), s.in.x.pixels() * block * sizeof(map),
          (pixels.end - pixels.begin) * block * sizeof(map) / 64};
}

}  // namespace bit::inline BIT_ABI::detail
