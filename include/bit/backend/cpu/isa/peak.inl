// The loops behind measure_peak: multiply-adds on registers, reading from memory. No include guard: see kernels.inl.

/// Chains of multiply-adds that depend on nothing but themselves: more than latency times pipes (4 x 2) of known cores.
inline constexpr int fma_chains = 12;

inline float fma_loop(std::size_t iterations) {
  vec sum[fma_chains];
  // Values that the compiler does not know: it leaves out a chain that starts at 2, where x = x/2 + 1 stays.
  for (int i = 0; i < fma_chains; ++i) sum[i] = vec{} + static_cast<float>(iterations) + static_cast<float>(i);
  const vec half = vec{} + 0.5f, one = vec{} + 1.0f;  // sums go to 2: no overflow, no denormals
  for (; iterations > 0; --iterations)
#pragma GCC unroll 12
    for (int i = 0; i < fma_chains; ++i) sum[i] = sum[i] * half + one;
  vec total = sum[0];
  for (int i = 1; i < fma_chains; ++i) total += sum[i];
  return total[0];
}

inline float read_loop(const float* x, std::size_t count) {
  vec sum[8] = {};
  for (std::size_t i = 0; i < count; i += 8 * static_cast<std::size_t>(lanes))
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) sum[v] += *reinterpret_cast<const vec*>(x + i + static_cast<std::size_t>(v * lanes));
  vec total = sum[0];
  for (int v = 1; v < 8; ++v) total += sum[v];
  float result = 0;
  for (int i = 0; i < lanes; ++i) result += total[i];
  return result;
}
