// The loops behind measure_peak: multiply-adds on registers, reading from memory. No include guard: see kernels.inl.

/// Chains of multiply-adds that depend on nothing but themselves: more than latency times pipes (4 x 2) of known cores.
inline constexpr int fma_chains = 12;

/// Operations of one iteration of fma_loop.
template <class T>
inline constexpr std::size_t fma_loop_flops = 2 * fma_chains* lanes* product<T>::numbers_per_step;

/// Adds 1·1 (for bfloat16 twice) to every lane of every chain; returns the sum of the chains' first lanes.
template <class T>
inline float fma_loop(std::size_t iterations) {
  alignas(64) T ones[32];
  for (T& one : ones) one = T(1.0f);
  const T* x = ones;
  vec sum[fma_chains] = {};
  for (; iterations > 0; --iterations) {
    // The operands must be new to the compiler each time, or it multiplies once and only adds.
    asm("" : "+r"(x) : : "memory");
    const auto weights = product<T>::load_weights(x);
#pragma GCC unroll 12
    for (int i = 0; i < fma_chains; ++i) product<T>::add(sum[i], x, weights);
  }
  vec total = sum[0];
  for (int i = 1; i < fma_chains; ++i) total += sum[i];
  return total[0];
}

inline float read_loop(const float* x, std::size_t count) {
  vec sum[8] = {};
  for (std::size_t i = 0; i < count; i += 8 * static_cast<std::size_t>(lanes))
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) sum[v] += load(x + i + static_cast<std::size_t>(v * lanes));
  vec total = sum[0];
  for (int v = 1; v < 8; ++v) total += sum[v];
  float result = 0;
  for (int i = 0; i < lanes; ++i) result += total[i];
  return result;
}
