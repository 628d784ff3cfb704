// The register tile: pixels x output channels, all of a convolution's arithmetic. No include guard: see microkernels.inl.

/// Where a tile reads in a segment, and where it asks ahead.
template <class T>
struct tile_reading {
  const typename product<T>::packed* a;
  const T* b;
  const std::byte *weights_ahead, *pixels_ahead;
};

/// sum += a·b over one block of 16 k of segment `s`.
template <class T, int rows>
__attribute__((always_inline)) inline void add_block(vec (&sum)[rows][tile_vectors], tile_reading<T>& at,
                                                     const segment<T>* s) {
  using multiply = product<T>;
  // Two multiply-adds per sum and iteration: with one, the counting costs Intel's cores 1.5 cycles (12 rows: 163 instead
  // of 183 GFLOP/s, Emerald Rapids; Zen 5 reached its peak without).
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

/// y[0..rows) of tile_columns channels: all sums stay in registers over the list of segments (1x1: one segment; 3x3:
/// nine taps; third convolution with projection: two), so that the output is touched once.
template <class T, class Out, int rows>
inline void tile(const segment<T>* segments, std::size_t count, const tile_output<Out>& out) {
  using packed = typename product<T>::packed;
  vec sum[rows][tile_vectors];
  alignas(64) vec total[rows][tile_vectors];
  std::size_t room = out.blocks_per_sum;
  bool deep = false;  // whether there are totals yet
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) sum[m][v] = vec{};
  // The totals are touched once in 32 to 128 k: they stay in memory. Given the choice, g++ 12 keeps those of seven rows in
  // registers and spills the sums instead (106 instead of 250 GFLOP/s).
  asm("" : : "r"(&total) : "memory");
  if (out.residual)
    for (std::size_t j = 0; j < out.blocks; ++j)
      for (std::size_t m = 0; m < static_cast<std::size_t>(rows); m += 64 / sizeof(Out) / 16)
        __builtin_prefetch(out.residual + j * out.y_stride + m * 16, 1, 3);

  for (const segment<T>* s = segments; s != segments + count; ++s) {
    // Whoever has nothing to ask for asks for what is at hand: loops over so many lines cost the blocks more (10 % of a
    // 6x16 tile's time with AVX2).
    const auto* at_hand = reinterpret_cast<const std::byte*>(s);
    tile_reading<T> at{reinterpret_cast<const packed*>(s->a), s->b,
                       s->weights_ahead.from ? s->weights_ahead.from : at_hand,
                       s->pixels_ahead.from ? s->pixels_ahead.from : at_hand};
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
        add_block<T, rows>(sum, at, s);
        // Strides are read anew: held in registers they drive g++ 12 to keep pointers in vector registers, and getting
        // those back waits for all multiply-adds before it (8x32 tile: 158 instead of 183 GFLOP/s, Emerald Rapids).
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
      if (out.residual) column[m] += load(out.residual + to + m * 16);
      store(out.y + to + m * 16, column[m]);
    }
    if (out.statistics) add_statistics(out.statistics + channel_block * 32 + v % block_vectors * lanes, column, rows);
  }
}
