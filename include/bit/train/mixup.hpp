// SPDX-License-Identifier: Apache-2.0
// Mixup (arXiv:1710.09412) as BiT uses it: one weight per optimizer step, each image mixed with a partner of its batch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <bit/config.hpp>
#include <bit/error.hpp>

namespace bit::inline BIT_ABI::train {

/// Who is mixed with whom.
enum class mixup_partner {
  permuted,  ///< a random permutation of the batch: bit_pytorch, the default
  reversed,  ///< the batch in reverse order: bit_jax, bit_tf2
  previous,  ///< the element before, the first with the last
};

/// The name in options: "permuted", "reversed", "previous"; throws config_error for others.
BIT_FUNC mixup_partner parse_mixup_partner(std::string_view name);

/// The weight of the images themselves in optimizer step `step`: Beta(alpha, alpha), or 1 if alpha is 0. A function of
/// its arguments. Throws config_error for a negative or infinite alpha.
BIT_FUNC double mixup_lambda(double alpha, std::uint64_t seed, std::uint64_t step);

/// partners[i] is who image i is mixed with, of `n` images; `micro_batch` counts micro-batches through the whole training,
/// since the reference permutes each of them anew. Only `permuted` reads seed and part.
BIT_FUNC std::vector<std::size_t> mixup_partners(std::size_t n, mixup_partner order, std::uint64_t seed,
                                                 std::uint64_t part);

/// images[i] becomes lambda * images[i] + (1 - lambda) * images[partners[i]] in place, all from the images as they came.
/// `images` are n blocks of the same size in any layout, n = partners.size(). Throws shape_error if `images` does not
/// divide into n blocks or a partner is not below n. Takes n x 4 KB of scratch. Not threaded: a batch of 512 images of
/// 128 x 128 takes a tenth of a second before a step that takes many.
template <class T>
void mix_images(std::span<T> images, std::span<const std::size_t> partners, double lambda) {
  const std::size_t n = partners.size();
  if (n == 0 ? !images.empty() : images.size() % n != 0)
    throw shape_error("[mixup] expected values of " + std::to_string(n) + " images, got " +
                      std::to_string(images.size()) + " values");
  for (const std::size_t partner : partners)
    if (partner >= n)
      throw shape_error("[mixup] expected partners below " + std::to_string(n) + ", got " + std::to_string(partner));
  if (n == 0 || lambda == 1) return;
  const std::size_t size = images.size() / n;
  const T own = static_cast<T>(lambda), other = static_cast<T>(1 - lambda);
  constexpr std::size_t piece = 4096 / sizeof(T);  // the same piece of all images is kept while it is overwritten
  std::vector<T> kept(n * std::min(piece, size));
  for (std::size_t begin = 0; begin < size; begin += piece) {
    const std::size_t count = std::min(piece, size - begin);
    for (std::size_t i = 0; i < n; ++i) std::copy_n(images.data() + size * i + begin, count, kept.data() + count * i);
    for (std::size_t i = 0; i < n; ++i) {
      T* out = images.data() + size * i + begin;
      const T* partner = kept.data() + count * partners[i];
      for (std::size_t k = 0; k < count; ++k) out[k] = own * out[k] + other * partner[k];
    }
  }
}

/// Labels of mixed images as two classes: the loss is lambda * loss(first) + (1 - lambda) * loss(second).
struct mixed_labels {
  std::vector<std::int64_t> first, second;
  double lambda = 1;
};

/// The labels with those of their partners. Throws shape_error if the sizes differ.
BIT_FUNC mixed_labels mix_labels(std::span<const std::int64_t> labels, std::span<const std::size_t> partners,
                                 double lambda);

/// The same as probabilities, (n,classes) row-major; a row adds up to 1. Throws shape_error for a label that is negative or not below
/// `classes`.
BIT_FUNC std::vector<double> to_probabilities(const mixed_labels& labels, std::size_t classes);

}  // namespace bit::inline BIT_ABI::train

#if BIT_HEADER_ONLY
#include <bit/train/mixup.ipp>
#endif
