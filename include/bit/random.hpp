// SPDX-License-Identifier: Apache-2.0
// Random numbers as functions of (seed, purpose, index): Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011). There is no generator to save: who knows the step knows its numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI {

/// What numbers are drawn for; each purpose has its own numbers. Values are part of every seeded result: never change one.
enum class random_purpose : std::uint32_t {
  test = 0,
  epoch_order = 1,    ///< index: epoch
  replacement = 2,    ///< index: batch
  augmentation = 3,   ///< index: place of the image in the whole training
  mixup_lambda = 4,   ///< index: optimizer step
  mixup_partner = 5,  ///< index: micro-batch
  split = 6,          ///< index: class
  few_shot = 7,       ///< index: class
  class_order = 8,    ///< index: class + classes · how often its images were all drawn before
};

namespace detail {

/// One block of Philox 4x32 with 10 rounds.
BIT_FUNC std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

}  // namespace detail

/// The numbers of one (seed, purpose, index), first to last. Integers and uniform() are the same on every machine; normal,
/// gamma and beta go through the C library's logarithm and may differ in the last digit. One thread at a time.
class random_stream {
 public:
  random_stream(std::uint64_t seed, random_purpose purpose, std::uint64_t index = 0)
      : seed_(seed), purpose_(purpose), index_(index) {}

  /// 32 random bits.
  BIT_FUNC std::uint32_t bits();
  /// Uniform in [0,1), a multiple of 2^-53.
  BIT_FUNC double uniform();
  /// Uniform in 0..n-1, without bias; n must not be 0.
  BIT_FUNC std::uint64_t below(std::uint64_t n);
  /// N(0,1) (Box and Muller 1958).
  BIT_FUNC double normal();
  /// Logarithm of a Gamma(shape, 1) number: for a small shape the number itself would underflow. shape > 0.
  BIT_FUNC double log_gamma(double shape);
  /// Gamma(shape, 1) (Marsaglia and Tsang 2000). shape > 0.
  BIT_FUNC double gamma(double shape);
  /// Beta(a, b); a, b > 0.
  BIT_FUNC double beta(double a, double b);

 private:
  std::uint64_t seed_;
  random_purpose purpose_;
  std::uint64_t index_;
  std::uint32_t block_ = 0;
  std::size_t used_ = 4;
  std::array<std::uint32_t, 4> values_{};
};

/// 0..n-1 in random order (Fisher and Yates), a function of its arguments. Each order is equally likely as far as 64 bits
/// of seed reach.
BIT_FUNC std::vector<std::size_t> random_permutation(std::size_t n, std::uint64_t seed, random_purpose purpose,
                                                     std::uint64_t index = 0);

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/random.ipp>
#endif
