// SPDX-License-Identifier: Apache-2.0
// The optimizers' arithmetic on a CPU: one pass over value, gradient and state, in chunks of fixed size, so that results
// are the same to the bit for any number of threads.
#pragma once

#include <cstddef>
#include <span>

#include <bit/backend/hyperparameters.hpp>
#include <bit/config.hpp>

namespace bit::inline BIT_ABI::detail {

/// Values per chunk: the four arrays of a chunk fit a 256 KiB cache, and a network has enough of them to share out.
inline constexpr std::size_t update_chunk_size = 16'384;

/// A part of one parameter with its state and its own rates. Not owned. T is float or double.
template <class T>
struct update_chunk {
  T* value = nullptr;
  const T* gradient = nullptr;
  T *first = nullptr, *second = nullptr;  ///< momentum, or Adam's two moments
  std::size_t count = 0;
  double rate_scale = 1, decay = 0;  ///< see parameter_rule
};

/// One update of all chunks; see sgd_hyperparameters. A null `first` stands for momentum 0.
template <class T>
void sgd_update(std::span<const update_chunk<T>> chunks, const sgd_hyperparameters& numbers, std::size_t threads);

/// One update of all chunks; see adam_hyperparameters.
template <class T>
void adam_update(std::span<const update_chunk<T>> chunks, const adam_hyperparameters& numbers, std::size_t threads);

/// Σ gradient² over all chunks, in double, added up in the order of the chunks.
template <class T>
double sum_of_squares(std::span<const update_chunk<T>> chunks, std::size_t threads);

#if !BIT_HEADER_ONLY
extern template void sgd_update(std::span<const update_chunk<float>>, const sgd_hyperparameters&, std::size_t);
extern template void sgd_update(std::span<const update_chunk<double>>, const sgd_hyperparameters&, std::size_t);
extern template void adam_update(std::span<const update_chunk<float>>, const adam_hyperparameters&, std::size_t);
extern template void adam_update(std::span<const update_chunk<double>>, const adam_hyperparameters&, std::size_t);
extern template double sum_of_squares(std::span<const update_chunk<float>>, std::size_t);
extern template double sum_of_squares(std::span<const update_chunk<double>>, std::size_t);
#endif

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/backend/cpu/update.ipp>
#endif
