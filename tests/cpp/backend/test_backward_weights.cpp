// SPDX-License-Identifier: Apache-2.0
// Kernel gradients against plain sums of small integers, which bfloat16 and float hold exactly: not one bit may differ,
// whatever the dtype, the operation, the geometry, the batch and the instruction set.
#include <doctest/doctest.h>
#include <bit/backend/cpu/training.hpp>
#include <bit/detail/aligned_buffer.hpp>

#include <cstring>
#include <random>

#include "random_data.hpp"

namespace {

using bit::bfloat16;
using namespace bit::detail;

struct geometry {
  bit::window window;
  std::size_t images, height, width, cin, cout;
};

/// Integers of a map (n,c,h,w), and the same in blocks of 16 channels.
struct int_map {
  std::size_t n, c, h, w;
  std::vector<int> values;

  int_map(std::size_t images, std::size_t channels, std::size_t height, std::size_t width, std::mt19937& random)
      : n(images), c(channels), h(height), w(width), values(images * channels * height * width) {
    for (int& v : values) v = std::uniform_int_distribution<int>(-3, 3)(random);
  }
  int at(std::size_t image, std::size_t channel, std::size_t y, std::size_t x) const {
    return values[((image * c + channel) * h + y) * w + x];
  }
  std::size_t numbers() const { return n * blocks_of(c) * h * w * block; }
  template <class T>
  void write(std::byte* to) const {
    T* out = reinterpret_cast<T*>(to);
    std::fill_n(out, numbers(), T(0.0f));
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < c; ++k)
        for (std::size_t p = 0; p < h * w; ++p)
          out[((i * blocks_of(c) + k / block) * h * w + p) * block + k % block] =
              T(static_cast<float>(values[(i * c + k) * h * w + p]));
  }
};

/// Sum over images and pixels of relu(x)·dy for a tap and two channels.
float expected(const geometry& g, const int_map& x, const int_map& dy, std::size_t tap, std::size_t i, std::size_t o) {
  const auto& w = g.window;
  int sum = 0;
  for (std::size_t n = 0; n < g.images; ++n)
    for (std::size_t r = 0; r < dy.h; ++r)
      for (std::size_t c = 0; c < dy.w; ++c) {
        const std::size_t row = r * w.stride + tap / w.size * w.dilation - w.padding;  // wraps outside
        const std::size_t column = c * w.stride + tap % w.size * w.dilation - w.padding;
        if (row < x.h && column < x.w) sum += std::max(x.at(n, i, row, column), 0) * dy.at(n, o, r, c);
      }
  return static_cast<float>(sum);
}

/// Numbers of the gradient that differ from the plain sums. make(in, dy, gradient) gives the operation for maps of T.
template <class T, class Make>
std::size_t wrong_numbers(const geometry& g, std::size_t tile_columns, int change, const Make& make) {
  std::mt19937 random(static_cast<unsigned>(g.images * 131 + g.height * 17 + g.cin));
  const int_map x(g.images, g.cin, g.height, g.width, random);
  const int_map dy(g.images, g.cout, g.window.out(g.height), g.window.out(g.width), random);
  const std::size_t statistics_size = g.images * blocks_of(g.cin) * 2 * block;
  const std::size_t x_bytes = (x.numbers() * sizeof(T) + 63) / 64 * 64;
  const std::size_t dy_bytes = (dy.numbers() * sizeof(T) + 63) / 64 * 64;
  const feature_map_ref x_place{0, blocks_of(g.cin), x.h, x.w}, dy_place{x_bytes, blocks_of(g.cout), dy.h, dy.w};
  statistics_ref sums{x_bytes + dy_bytes, 1, blocks_of(g.cin), 1, g.cin, x.h * x.w};
  kernel_gradient_ref place{{sums.offset + statistics_size * sizeof(double)},
                            {g.window.size * g.window.size, g.cin, blocks_of(g.cin) * block, g.cout, 0},
                            tile_columns};
  bit::detail::aligned_buffer<std::byte> arena(place.offset + place.bytes());
  x.write<T>(arena.data());
  int_map changed = dy;
  changed.values.back() += change;
  changed.write<T>(arena.data() + x_bytes);
  // Mean 0 and variance 1: the norm leaves integers as they are.
  auto* statistics = reinterpret_cast<double*>(arena.data() + sums.offset);
  for (std::size_t i = 0; i < statistics_size; ++i)
    statistics[i] = i / block % 2 == 0 ? 0.0 : static_cast<double>(sums.pixels);
  const std::vector<float> gamma(x_place.blocks * block, 1.0f), beta(x_place.blocks * block, 0.0f);

  const auto operation = make(conv_input{x_place, {sums, gamma.data(), beta.data(), 0}, {}, g.window}, dy_place, place);
  bit::detail::aligned_buffer<std::byte> scratch(operation.scratch_bytes());
  std::memset(scratch.data(), 0xff, operation.scratch_bytes());  // NaN: nothing may be read before it is written
  std::vector<work_slot> slots(1);
  work_stealing_queue queue(slots);
  training_context run{};
  run.arena = arena.data();
  run.scratch = scratch.data();
  run.threads = 1;
  run.queue = &queue;
  run.step = 1;
  operation.run(run);

  std::size_t wrong = 0;
  for (std::size_t tap = 0; tap < place.how.taps; ++tap)
    for (std::size_t i = 0; i < g.cin; ++i)
      for (std::size_t o = 0; o < g.cout; ++o) {
        const float got = place.row(run, o / place.columns, tap, i)[o % place.columns];
        wrong += got != expected(g, x, dy, tap, i, o);
      }
  return wrong;
}

template <class T>
std::size_t wrong_numbers(const geometry& g, instruction_set isa, int change = 0) {
  const auto& microkernels = microkernels_of<T>(isa);
  return wrong_numbers<T>(g, microkernels.tile_columns, change, [&](const auto&... places) {
    return backward_weights_operation<T>(microkernels, backward_microkernels_of(isa), g.images, places...);
  });
}
/// The same of bfloat16's pairs, for instruction sets that multiply them.
std::size_t wrong_numbers_of_pairs(const geometry& g, instruction_set isa, int change = 0) {
  const auto& microkernels = microkernels_of<bfloat16>(isa);
  return wrong_numbers<bfloat16>(g, microkernels.tile_columns, change, [&](const auto&... places) {
    return backward_weights_pairs_operation(microkernels, *backward_pair_microkernels_of<bfloat16>(isa), g.images,
                                            places...);
  });
}

const std::vector<geometry> geometries{
    {{1, 1, 0, 1}, 1, 5, 7, 3, 5},     {{1, 1, 0, 1}, 3, 9, 31, 40, 50},  {{1, 2, 0, 1}, 4, 9, 8, 17, 33},
    {{3, 1, 1, 1}, 1, 1, 1, 4, 4},     {{3, 1, 1, 1}, 5, 6, 5, 20, 70},   {{3, 1, 1, 1}, 2, 37, 29, 16, 32},
    {{3, 2, 1, 1}, 3, 8, 9, 33, 18},   {{3, 1, 2, 2}, 2, 7, 6, 12, 16},   {{3, 2, 2, 2}, 2, 12, 11, 5, 48},
    {{1, 1, 0, 1}, 7, 4, 4, 300, 100}, {{3, 1, 1, 1}, 17, 3, 2, 64, 130},
};

}  // namespace

TEST_CASE("kernel gradients of small integers are exact for every window, odd batches and channels, on every set") {
  for (const std::string& name : bit::available_isas()) {
    CAPTURE(name);
    const instruction_set isa = instruction_set_of(name);
    const bool pairs = backward_pair_microkernels_of<bfloat16>(isa) != nullptr;
    CHECK(pairs == (microkernels_of<bfloat16>(isa).packed_bytes == sizeof(bfloat16)));
    for (std::size_t i = 0; i < geometries.size(); ++i) {
      CAPTURE(i);
      CHECK(wrong_numbers<float>(geometries[i], isa) == 0);
      CHECK(wrong_numbers<bfloat16>(geometries[i], isa) == 0);
      if (pairs) CHECK(wrong_numbers_of_pairs(geometries[i], isa) == 0);
    }
  }
}

TEST_CASE("one wrong pixel of the last image is noticed") {
  for (const std::size_t i : {1u, 5u, 9u, 10u}) {
    CHECK(wrong_numbers<float>(geometries[i], default_instruction_set(), 1) > 0);
    CHECK(wrong_numbers<bfloat16>(geometries[i], default_instruction_set(), 1) > 0);
    for (const std::string& name : bit::available_isas())
      if (const instruction_set isa = instruction_set_of(name); backward_pair_microkernels_of<bfloat16>(isa))
        CHECK(wrong_numbers_of_pairs(geometries[i], isa, 1) > 0);
  }
}

TEST_CASE("items of a kernel's gradient cover all blocks and panels once, in the cut that packs least") {
  for (std::size_t blocks : {1u, 3u, 4u, 12u, 16u, 128u})
    for (std::size_t panels : {1u, 2u, 5u, 16u, 64u})
      for (std::size_t packed : {0u, 1u, 2u}) {
        const kernel_gradient_items items(blocks, panels, packed);
        std::vector<int> seen(blocks * panels);
        for (std::size_t item = 0; item < items.count(); ++item) {
          CHECK(items.blocks(item).end - items.blocks(item).begin <= items.most_blocks());
          for (std::size_t b = items.blocks(item).begin; b < items.blocks(item).end; ++b)
            for (std::size_t p = items.panels(item).begin; p < items.panels(item).end; ++p) ++seen[b * panels + p];
        }
        CHECK(seen == std::vector<int>(blocks * panels, 1));
        CHECK(items.count() >= std::min<std::size_t>(blocks * panels, 16));
      }
  // Where dy is read as it lies each block is packed by one item if there are enough; else both sides are shared out.
  CHECK(kernel_gradient_items(16, 16, 0).most_blocks() == 1);
  CHECK(kernel_gradient_items(16, 8, 2).most_blocks() == 4);
}
