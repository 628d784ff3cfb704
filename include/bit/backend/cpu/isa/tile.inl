// SPDX-License-Identifier: Apache-2.0
// The register tile (BLIS's micro-kernel): a few pixels times tile_columns output channels, whose sums stay in
// registers. It does all arithmetic of a convolution. No include guard: see microkernels.inl.

/// Where a tile stands in a segment: the packed pixels and weights that it reads next, and what it prefetches next.
template <class Weight>
struct tile_reading {
  const typename product<Weight>::packed* a;
  const Weight* b;
  const std::byte *weights_ahead, *pixels_ahead;
};

/// sum += a·b over one block of 16 channels of segment `s`.
template <class Weight, int rows>
__attribute__((always_inline)) inline void add_block(vec (&sum)[rows][tile_vectors], tile_reading<Weight>& at,
                                                     const segment<Weight>* s) {
  using multiply = product<Weight>;
  // Each iteration does two multiply-adds per sum. With one, the loop counter costs Intel's cores 1.5 cycles (12 rows:
  // 163 instead of 183 GFLOP/s, Emerald Rapids); Zen 5 reaches its peak either way.
  constexpr int unrolled = multiply::parts == 1 ? 2 : 1;
  constexpr int prefetches = static_cast<int>(weight_prefetches(rows, tile_rows, tile_columns));
  const std::size_t weights_step = s->weights_ahead.step, pixels_step = s->pixels_ahead.step;
  for (int k = 0; k < multiply::steps; k += unrolled) {
#pragma GCC unroll 2
    for (int i = 0; i < unrolled * multiply::parts; ++i) {
      const int step = i / multiply::parts * multiply::numbers_per_step, part = i % multiply::parts;
      // Keeps the compiler from carrying broadcasts over iterations, which spills (264 instead of 430 GFLOP/s).
      asm("" : "+r"(at.a));
      typename multiply::weights weights[tile_vectors];
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; ++v)
        weights[v] = multiply::load_weights(at.b + step * tile_columns + v * lanes * multiply::numbers_per_step, part);
#pragma GCC unroll 16
      for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; ++v) multiply::add(sum[m][v], at.a + m * 16 + step + part, weights[v]);
    }
    at.a += unrolled * multiply::numbers_per_step;
    at.b += unrolled * multiply::numbers_per_step * tile_columns;
    for (int i = 0; i < prefetches * unrolled / multiply::steps; ++i) {
      __builtin_prefetch(at.weights_ahead, 0, 2);
      at.weights_ahead += weights_step;
    }
    for (int i = 0; i < static_cast<int>(pixel_prefetches) * unrolled / multiply::steps; ++i) {
      __builtin_prefetch(at.pixels_ahead, 0, 2);
      at.pixels_ahead += pixels_step;
    }
  }
}

/// Computes y[0..rows) of tile_columns channels. All sums stay in registers over the list of segments (one for a 1x1
/// convolution, nine taps for a 3x3 one, two for a third convolution with projection), so that y is written once.
template <class F, class Out, int rows>
inline void tile(const segment<weight_of<F>>* segments, std::size_t count, const tile_output<Out>& out) {
  using weight = weight_of<F>;
  using packed = typename product<weight>::packed;
  vec sum[rows][tile_vectors];
  alignas(64) vec total[rows][tile_vectors];
  std::size_t room = out.blocks_per_sum;
  bool deep = false;  // whether `total` holds anything yet
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) sum[m][v] = vec{};
  // The totals are read and written once for every 32 to 128 terms, so they stay in memory. Left to itself, g++ 12
  // keeps the totals of seven rows in registers and spills the sums instead (106 instead of 250 GFLOP/s).
  asm("" : : "r"(&total) : "memory");
  if (out.residual)
    for (std::size_t j = 0; j < out.blocks; ++j)
      for (std::size_t m = 0; m < static_cast<std::size_t>(rows); m += 64 / sizeof(Out) / 16)
        __builtin_prefetch(out.residual + j * out.y_stride + m * 16, 1, 3);

  for (const segment<weight>* s = segments; s != segments + count; ++s) {
    // A tile without anything to prefetch prefetches its own segment record, which is in L1: the number of prefetches
    // is then a constant, and a loop with a variable number costs 10 % of a 6x16 tile's time with AVX2.
    const auto* harmless = reinterpret_cast<const std::byte*>(s);
    tile_reading<weight> at{reinterpret_cast<const packed*>(s->a), s->b,
                            s->weights_ahead.from ? s->weights_ahead.from : harmless,
                            s->pixels_ahead.from ? s->pixels_ahead.from : harmless};
    for (std::size_t left = s->blocks; left > 0;) {
      if (room == 0) {
#pragma GCC unroll 16
        for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
          for (int v = 0; v < tile_vectors; ++v) {
            total[m][v] = deep ? total[m][v] + sum[m][v] : sum[m][v];
            sum[m][v] = vec{};
          }
        room = out.blocks_per_sum;
        deep = true;
      }
      std::size_t blocks = left < room ? left : room;
      left -= blocks;
      room -= blocks;
      for (; blocks > 0; --blocks) {
        add_block<weight, rows>(sum, at, s);
        // Makes the compiler load the strides from memory again. Held in registers, they make g++ 12 keep pointers in
        // vector registers, and moving those back waits for all earlier multiply-adds (8x32 tile: 158 instead of 183
        // GFLOP/s, Emerald Rapids).
        asm("" : "+r"(s));
        at.a += s->a_stride - 16;
        at.pixels_ahead += s->pixels_ahead.jump;
      }
    }
  }

#pragma GCC unroll 4
  for (int v = 0; v < tile_vectors; ++v) {
    const std::size_t channel_block = static_cast<std::size_t>(v / block_vectors);
    if (channel_block >= out.blocks) break;
    const std::size_t to = channel_block * out.y_stride + static_cast<std::size_t>(v % block_vectors * lanes);
    vec column[rows];
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m) {
      column[m] = deep ? total[m][v] + sum[m][v] : sum[m][v];
      if constexpr (cpu_format<F>::column_scale) column[m] *= load(out.column_scale + v * lanes);
      if (out.residual) column[m] += load(out.residual + to + m * 16);
      store(out.y + to + m * 16, column[m]);
    }
    if (out.statistics) add_statistics(out.statistics + channel_block * 32 + v % block_vectors * lanes, column, rows);
  }
}
