// SPDX-License-Identifier: Apache-2.0
// What the operations of a plan share: references to values in the arena, the state of one run, the division of work
// into items, and prefetching. Operations hold offsets; addresses exist only while a plan runs, because each run has
// its own arena.
#pragma once

#include <algorithm>
#include <bit/backend/cpu/first_exception.hpp>
#include <bit/backend/cpu/packed_weights.hpp>
#include <bit/backend/cpu/work_stealing_queue.hpp>
#include <bit/backend/run.hpp>
#include <bit/program/program.hpp>
#include <cmath>
#include <cstddef>
#include <span>

namespace bit::inline BIT_ABI {

namespace detail {

/// A range of memory that will be read soon.
struct memory_range {
  const std::byte* begin = nullptr;
  std::size_t bytes = 0;
};

/// Weights that will be read soon and should be prefetched: a panel of one kernel, or the panels of two kernels that
/// are multiplied together (a unit's third convolution and its projection).
struct next_weights {
  memory_range first, second = {};

  /// The bytes [total·begin / of, total·end / of) of the two ranges laid end to end.
  next_weights part(std::size_t begin, std::size_t end, std::size_t of) const {
    const std::size_t total = first.bytes + second.bytes, from = total * begin / of, to = total * end / of;
    const std::size_t in_first = std::min(from, first.bytes), of_first = std::min(to, first.bytes) - in_first;
    return {{first.begin + in_first, of_first}, {second.begin + (from - in_first), to - from - of_first}};
  }
  /// The range that is read first: the second one if the first is empty.
  memory_range begin() const { return first.bytes > 0 ? first : second; }
};

/// The state of one run of a plan. Every thread has a copy; the copies differ in `scratch`, `thread` and `next`.
struct run_context {
  std::byte* arena;
  image_view<float> image;
  std::byte* scratch;  ///< memory of this thread alone
  std::size_t thread, threads;
  work_stealing_queue* queue;
  std::size_t step = 0;                  ///< the queue's number of the operation that runs, from 1 on
  next_weights next = {};                ///< the weights that this thread reads first in the next operation
  std::span<float* const> outputs = {};  ///< the caller's memory for exports and taps; null where none is wanted
  layout output_layout = layout::nchw;   ///< order of the feature maps among the outputs
  first_exception* failure = nullptr;    ///< keeps what an operation's work throws, and ends the run

  /// Calls body(item) for this thread's share of an operation's items. The share is a contiguous range, so that
  /// neighbouring items use the same cache; when it is done, the thread steals items that are left of the others'
  /// ranges. Every operation calls this exactly once.
  template <class Body>
  void work(std::size_t items, const Body& body) const {
    queue->work(step, items, place(), threads, [&](std::size_t i) { body(mirrored(items, i)); });
  }
  /// The item after `item` in this thread's own range, or `items` if there is none.
  std::size_t following(std::size_t items, std::size_t item) const {
    return own_or_none(items, backwards() ? item - 1 : item + 1);
  }
  /// The item that this thread begins with. `items` is at least 1.
  std::size_t first_item(std::size_t items) const {
    return mirrored(items, std::min(items * place() / threads, items - 1));
  }
  /// `item` if it belongs to this thread's own range, else `items`.
  std::size_t own_or_none(std::size_t items, std::size_t item) const {
    const std::size_t i = item < items ? mirrored(items, item) : items;
    return i >= items * place() / threads && i < items * (place() + 1) / threads ? item : items;
  }
  /// Whether this step goes through its items from the last to the first, as every second step does. What the step
  /// before wrote last is then read first, while it is still in L2: of a map of 3 MB, read in the order in which it was
  /// written, nothing would be left there.
  bool backwards() const { return step % 2 == 0; }

 private:
  std::size_t place() const { return backwards() ? threads - 1 - thread : thread; }
  std::size_t mirrored(std::size_t items, std::size_t i) const { return backwards() ? items - 1 - i : i; }
};

/// An array in the arena that is neither a feature map nor statistics, for instance a packed kernel or its gradient.
struct array_ref {
  std::size_t offset = 0;

  template <class T>
  T* at(const run_context& run) const {
    return reinterpret_cast<T*>(run.arena + offset);
  }
};

/// A feature map in the arena, `offset` bytes from its begin, in the layout that oneDNN calls nChw16c:
/// [n][c/16][h·w][16]. A matrix (n,c) is stored as the map of one image with n pixels: [c/16][n][16].
struct feature_map_ref {
  std::size_t offset = 0, blocks = 0, height = 0, width = 0;

  std::size_t pixels() const { return height * width; }
  std::size_t image_size() const { return blocks * pixels() * block; }
  template <class T>
  T* at(const run_context& run, std::size_t n) const {
    return reinterpret_cast<T*>(run.arena + offset) + n * image_size();
  }
};

/// The panels of a packed kernel. They lie in a packed_weights, or `offset` bytes from the begin of the arena, where an
/// earlier operation has packed them.
struct weights_ref {
  const std::byte* packed = nullptr;  ///< null: the panels are in the arena
  std::size_t offset = 0;
  std::size_t panel_size = 0, panels = 0;  ///< numbers in a panel; number of panels

  weights_ref() = default;
  weights_ref(const packed_weights& c) : packed(c.data.data()), panel_size(c.panel_size), panels(c.panels) {}
  weights_ref(std::size_t at, std::size_t size, std::size_t count) : offset(at), panel_size(size), panels(count) {}

  /// The first number of panel i. T must be the type that the kernel was packed as.
  template <class T>
  const T* panel(const run_context& run, std::size_t i) const {
    return reinterpret_cast<const T*>(packed ? packed : run.arena + offset) + i * panel_size;
  }
  template <class T>
  std::size_t bytes() const {
    return panels * panel_size * sizeof(T);
  }
};

/// The statistics of a feature map: for each image, spatial tile and channel the sum and the sum of squares, as doubles
/// [n][spatial tiles][c/16][2][16]. The spatial tiles depend on the map's shape alone, and their sums are added in
/// order, so that the result does not depend on the number of threads.
struct statistics_ref {
  std::size_t offset = 0, spatial_tiles = 0, blocks = 0, groups = 0, channels = 0, pixels = 0;

  std::size_t image_size() const { return spatial_tiles * blocks * 2 * block; }
  std::size_t per_group() const { return channels / groups; }
  double* at(const run_context& run, std::size_t n) const {
    return reinterpret_cast<double*>(run.arena + offset) + n * image_size();
  }
};

/// A norm_relu whose operands have addresses. A null gamma means that values are read unchanged, without norm and ReLU.
struct norm_ref {
  statistics_ref statistics;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  double eps = 0;

  /// The mean of a group, and 1/sqrt(variance + eps).
  struct moments {
    double mean, rstd;
  };
  /// The moments of the group of image n whose first channel is `first`.
  moments measure(const run_context& run, std::size_t n, std::size_t first) const {
    const statistics_ref& s = statistics;
    const double* sums = s.at(run, n);
    double sum = 0, squares = 0;
    for (std::size_t c = first; c < first + s.per_group(); ++c)
      for (std::size_t spatial_tile = 0; spatial_tile < s.spatial_tiles; ++spatial_tile) {
        const double* at = sums + ((spatial_tile * s.blocks + c / block) * 2) * block + c % block;
        sum += at[0];
        squares += at[block];
      }
    const double count = static_cast<double>(s.per_group() * s.pixels), mean = sum / count;
    // Biased variance, as torch.nn.GroupNorm and bit_jax/models.py have it; rounding may leave it below zero.
    const double variance = std::max(squares / count - mean * mean, 0.0);
    return {mean, 1.0 / std::sqrt(variance + eps)};
  }

  /// Folds norm and affine transform of image n into scale·x + shift, [blocks·16] each. The padding channels get zeros.
  void fold(const run_context& run, std::size_t n, float* scale, float* shift) const {
    fold(run, n, scale, shift, 0, statistics.blocks * block);
  }
  /// The same for the channels from `begin` to `end`, and for all others in the groups that they belong to.
  void fold(const run_context& run, std::size_t n, float* scale, float* shift, std::size_t begin,
            std::size_t end) const {
    const statistics_ref& s = statistics;
    for (std::size_t c = std::max(begin, s.channels); c < end; ++c) scale[c] = shift[c] = 0;
    const std::size_t last = std::min(end, s.channels);
    for (std::size_t first = begin / s.per_group() * s.per_group(); first < last; first += s.per_group()) {
      const auto [mean, rstd] = measure(run, n, first);
      for (std::size_t c = first; c < first + s.per_group(); ++c) {
        scale[c] = static_cast<float>(gamma[c] * rstd);
        shift[c] = static_cast<float>(beta[c] - mean * gamma[c] * rstd);
      }
    }
  }
};

/// A half-open range [begin, end) of rows, pixels, images, blocks or panels.
struct work_range {
  std::size_t begin, end;
};

/// Splits [0, total) into `parts` nearly equal sub-ranges and returns the begin of sub-range i, which is the end of
/// sub-range i - 1.
constexpr std::size_t split_begin(std::size_t total, std::size_t parts, std::size_t i) { return total * i / parts; }

/// The cache lines of a feature map that is packed next: `lines` lines in each block of channels; the blocks are
/// `stride` bytes apart.
struct plane_lines {
  const std::byte* from = nullptr;
  std::size_t stride = 0, lines = 0;

  /// The stream that prefetches the lines from `begin` to `end` in block `first` and in each block after it.
  prefetch_stream stream(std::size_t first, std::size_t begin, std::size_t end) const {
    if (begin == end) return {};
    const std::size_t step = ((end - begin) * 64 + pixel_prefetches - 1) / pixel_prefetches;
    return {from + first * stride + begin * 64, step, stride - pixel_prefetches * step};
  }
};

/// Divides the bytes of `range` equally among `calls` register tiles. A tile that sums `blocks` blocks of 16 channels
/// prefetches `prefetches` times in each of them.
class prefetcher {
 public:
  prefetcher() = default;
  prefetcher(memory_range range, std::size_t calls, std::size_t blocks, std::size_t prefetches)
      : at_(range.begin), left_(range.bytes) {
    if (range.bytes == 0 || calls == 0) return;
    // At least one cache line for each block of channels.
    share_ = std::max((range.bytes + calls - 1) / calls, 64 * blocks);
    step_ = (share_ + blocks * prefetches - 1) / (blocks * prefetches);
  }
  /// The next tile's share; an empty stream when all bytes have been handed out.
  prefetch_stream next() {
    if (left_ == 0) return {};
    const prefetch_stream stream{at_, step_};
    at_ += share_;
    left_ -= std::min(left_, share_);
    return stream;
  }

 private:
  const std::byte* at_ = nullptr;
  std::size_t left_ = 0, share_ = 0, step_ = 0;
};

}  // namespace detail
}  // namespace bit::inline BIT_ABI
