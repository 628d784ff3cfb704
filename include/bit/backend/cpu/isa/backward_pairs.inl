// SPDX-License-Identifier: Apache-2.0
// The microkernels of backward weights for instructions that multiply pairs of bfloat16. backward_pairs_table.hpp says
// what each computes. No include guard: an instruction set with such an instruction includes this after
// microkernels.inl.

template <class T>
inline void outer_of_pairs(const pair_product& p) {
  using multiply = product<T>;
  vec sum[outer_rows][tile_vectors];
#pragma GCC unroll 8
  for (int m = 0; m < outer_rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) sum[m][v] = vec{};
  for (std::size_t n = 0; n < p.images; ++n)
    for (std::size_t r = 0; r < p.rows; ++r) {
      const T* a = p.a + n * p.a_image + r * p.a_row;
      const T* b = p.b + n * p.b_image + r * p.b_row;
      for (std::size_t c = 0; c < p.columns; ++c) {
        asm("" : "+r"(a));  // as in tile(): broadcasts carried over iterations spill
        typename multiply::weights right[tile_vectors];
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; ++v)
          right[v] = multiply::load_weights(
              b + static_cast<std::size_t>(v / block_vectors) * p.b_block + v % block_vectors * lanes * 2, 0);
#pragma GCC unroll 8
        for (int m = 0; m < outer_rows; ++m)
#pragma GCC unroll 4
          for (int v = 0; v < tile_vectors; ++v) multiply::add(sum[m][v], a + m * 2, right[v]);
        a += pair_block;
        b += pair_block;
      }
    }
#pragma GCC unroll 8
  for (int m = 0; m < outer_rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; ++v) {
      float* to = p.sum + m * tile_columns + v * lanes;
      store(to, p.add ? load(to) + sum[m][v] : sum[m][v]);
    }
}

template <class T>
inline void interleave(T* y, const T* x0, const T* x1, std::size_t pixels) {
  for (std::size_t i = 0; i < pixels * 16; i += lanes) {
    words pair = __builtin_convertvector(*reinterpret_cast<const halves_at*>(x0 + i), words);
    if (x1) pair |= __builtin_convertvector(*reinterpret_cast<const halves_at*>(x1 + i), words) << 16;
    store_words(y + 2 * i, pair);
  }
}

template <class T>
inline constexpr backward_pair_microkernel_table backward_pair_table{outer_rows, outer_of_pairs<T>, interleave<T>};
