// SPDX-License-Identifier: Apache-2.0
// What becomes of a checkpoint's classification head when a model is made from it: said, never guessed.
#pragma once

#include <cstddef>
#include <cstdint>

#include <bit/config.hpp>
#include <bit/io/checkpoint.hpp>

namespace bit::inline BIT_ABI::io {

/// A choice of head.
class head {
 public:
  /// The checkpoint's own, if it has one.
  static head keep() { return {kind::keep, 0, 0}; }
  /// No head: the model returns pooled features.
  static head drop() { return {kind::drop, 0, 0}; }
  /// `classes` outputs, all weights zero: what BiT fine-tuning starts from (arXiv:1912.11370, section 3.3).
  static head zero(std::size_t classes) { return {kind::zero, classes, 0}; }
  /// `classes` outputs, kernel drawn from a normal distribution of deviation 0.01 (timm's choice), bias zero. The same
  /// seed gives the same values everywhere.
  static head fresh(std::size_t classes, std::uint64_t seed) { return {kind::fresh, classes, seed}; }

 private:
  enum class kind { keep, drop, zero, fresh };
  head(kind k, std::size_t classes, std::uint64_t seed) : kind_(k), classes_(classes), seed_(seed) {}
  friend checkpoint adapt_head(checkpoint from, const head& to);

  kind kind_;
  std::size_t classes_;
  std::uint64_t seed_;
};

/// The checkpoint with another head; its other tensors are shared. Throws config_error if `to` has 0 classes.
BIT_FUNC checkpoint adapt_head(checkpoint from, const head& to);

}  // namespace bit::inline BIT_ABI::io

#if BIT_HEADER_ONLY
#include <bit/io/head.ipp>
#endif
