// How a conv_operation packs its input: norm and ReLU on the way, consecutive pixels for the tile at every stride; and
// where in a packed chunk everything lies.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/conv.hpp>
#include <cstring>
#include <type_traits>

namespace bit::inline v0::detail {

/// Pixels of one block of channels read into packed ones: norm and ReLU, or as they are.
template <class Packed, class T>
class pixel_reader {
 public:
  pixel_reader(const microkernel_table<T>& microkernels, bool as_it_is)
      : microkernels_(&microkernels), as_it_is_(as_it_is) {}

  void operator()(Packed* y, const T* x, std::size_t pixels, std::size_t stride, const float* scale,
                  const float* shift) const {
    if constexpr (!std::is_same_v<Packed, T>) {
      if (as_it_is_)
        microkernels_->widen(y, x, pixels, stride);
      else
        microkernels_->normalise_to_float(y, x, pixels, stride, scale, shift);
    } else if (!as_it_is_) {
      microkernels_->normalise(y, x, pixels, stride, scale, shift);
    } else if (stride == 1) {
      std::memcpy(y, x, pixels * block * sizeof(T));
    } else {
      for (std::size_t p = 0; p < pixels; ++p) std::memcpy(y + p * block, x + p * stride * block, block * sizeof(T));
    }
  }

 private:
  const microkernel_table<T>* microkernels_;
  bool as_it_is_;
};

/// Columns first + i·stride of a padded row of a block, `columns` of them; without `in`, the row's `width` pixels, zeros.
template <class Packed, class T>
void pack_columns(const pixel_reader<Packed, T>& read, Packed* out, std::size_t columns, const T* in, std::size_t width,
                  std::size_t first, const window& w, const float* scale, const float* shift) {
  // How many lie left of the row, and the input column that the next one is.
  const std::size_t skip = first < w.padding ? (w.padding - first + w.stride - 1) / w.stride : 0;
  const std::size_t start = first + skip * w.stride - w.padding;
  const std::size_t inside = in && start < width ? (width - start + w.stride - 1) / w.stride : 0;
  const std::size_t left = std::min(skip, columns), used = std::min(inside, columns - left);
  std::memset(out, 0, left * block * sizeof(Packed));
  if (used > 0) read(out + left * block, in + start * block, used, w.stride, scale, shift);
  std::memset(out + (left + used) * block, 0, (columns - left - used) * block * sizeof(Packed));
}

/// A whole padded row phase by phase (all columns that are 0 modulo the stride, then 1, ...), so that consecutive pixels
/// of output read consecutive ones at every stride.
template <class Packed, class T>
void pack_row(const pixel_reader<Packed, T>& read, Packed* out, const T* in, std::size_t width, const window& w,
              std::size_t phase_columns, const float* scale, const float* shift) {
  for (std::size_t phase = 0; phase < w.stride; ++phase)
    pack_columns(read, out + phase * phase_columns * block, phase_columns, in, width, phase, w, scale, shift);
}

/// Whether joined rows take two thirds of the tiles at most: fewer and larger tiles stream less weights.
template <class T>
bool conv_operation<T>::gains_by_merging() const {
  const std::size_t rows = microkernels_->tile_rows;
  const std::size_t merged = (y_.pixels() + rows - 1) / rows, separate = y_.height * ((y_.width + rows - 1) / rows);
  return 3 * merged <= 2 * separate;
}

template <class T>
typename conv_operation<T>::column_groups conv_operation<T>::groups_of(const conv_input& in) const {
  const auto& w = in.window;
  if (!by_rows()) return {1, 1};
  if (merged_rows_) return {w.size, y_.width};
  return {w.stride, (in.x.width + 2 * w.padding + w.stride - 1) / w.stride};
}

template <class T>
typename conv_operation<T>::source conv_operation<T>::make_source(const conv_input& in) const {
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
  // Whole cache lines, so that the next source and the next image begin on one.
  s.image_stride = (in.x.blocks * s.block_stride + 31) / 32 * 32;
  return s;
}

template <class T>
std::size_t conv_operation<T>::tap_offset(const source& s, std::size_t ky, std::size_t kx) const {
  const auto& w = s.in.window;
  const std::size_t column = kx * w.dilation, row = s.row_offset(ky * w.dilation);
  if (merged_rows_) return row + kx * s.group_stride;
  return row + column % w.stride * s.group_stride + column / w.stride * block;
}

template <class T>
void conv_operation<T>::pack(const run_context& run, const item& what, const buffers& at, std::size_t& folded) const {
  if (microkernels_->packed_bytes == sizeof(T))
    pack_as<T>(run, what, at, folded);
  else
    pack_as<float>(run, what, at, folded);
}

template <class T>
template <class Packed>
void conv_operation<T>::pack_as(const run_context& run, const item& what, const buffers& at,
                                std::size_t& folded) const {
  for (std::size_t n = what.images.begin; n < what.images.end; ++n) {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const source& s = sources_[i];
      if (s.in.norm.gamma && n != folded) s.in.norm.fold(run, n, at.scale[i], at.shift[i]);
      Packed* to = reinterpret_cast<Packed*>(at.packed[i]) + (n - what.images.begin) * s.image_stride;
      const T* x = s.in.x.template at<T>(run, n);
      if (by_rows())
        pack_rows(s, to, x, at.scale[i], at.shift[i], rows_or_pixels_of(what.spatial_tile));
      else
        pack_pixels(s, to, x, at.scale[i], at.shift[i], rows_or_pixels_of(what.spatial_tile));
    }
    folded = n;
  }
}

template <class T>
template <class Packed>
void conv_operation<T>::pack_pixels(const source& s, Packed* to, const T* x, const float* scale, const float* shift,
                                    work_range pixels) const {
  const std::size_t stride = s.in.window.stride, width = y_.width;
  const pixel_reader<Packed, T> read(*microkernels_, !s.in.norm.gamma);
  for (std::size_t b = 0; b < s.in.x.blocks; ++b) {
    const T* plane = x + b * s.in.x.pixels() * block;
    Packed* out = to + b * s.block_stride;
    if (stride == 1) {
      read(out, plane + pixels.begin * block, pixels.end - pixels.begin, 1, scale + b * block, shift + b * block);
      continue;
    }
    for (std::size_t p = pixels.begin; p < pixels.end;) {  // one stretch per row of output
      const std::size_t row = p / width, column = p % width, count = std::min(width - column, pixels.end - p);
      read(out, plane + (row * s.in.x.width + column) * stride * block, count, stride, scale + b * block,
           shift + b * block);
      out += count * block;
      p += count;
    }
  }
}

template <class T>
template <class Packed>
void conv_operation<T>::pack_rows(const source& s, Packed* to, const T* x, const float* scale, const float* shift,
                                  work_range rows) const {
  const auto& w = s.in.window;
  const std::size_t first = rows.begin * w.stride, count = (rows.end - rows.begin - 1) * w.stride + w.reach();
  const pixel_reader<Packed, T> read(*microkernels_, !s.in.norm.gamma);
  for (std::size_t b = 0; b < s.in.x.blocks; ++b)
    for (std::size_t r = 0; r < count; ++r) {
      const std::size_t row = first + r;  // in the padded image
      const bool inside = row >= w.padding && row < w.padding + s.in.x.height;
      const T* in = inside ? x + (b * s.in.x.pixels() + (row - w.padding) * s.in.x.width) * block : nullptr;
      for (std::size_t g = 0; g < s.groups.count; ++g)
        pack_columns(read, to + b * s.block_stride + s.row_offset(r) + g * s.group_stride, s.groups.columns, in,
                     s.in.x.width, merged_rows_ ? g * w.dilation : g, w, scale + b * block, shift + b * block);
    }
}

}  // namespace bit::inline v0::detail
