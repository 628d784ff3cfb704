// SPDX-License-Identifier: Apache-2.0
// What may be chosen when a model is frozen, the same for every backend.
#pragma once

#include <bit/config.hpp>
#include <string_view>

namespace bit::inline BIT_ABI {

/// The ways in which 3x3 convolutions of stride 1 can be computed; all other steps have one way only.
enum class algorithm {
  automatic,     ///< per layer, batch and size by the backend's cost model
  direct,        ///< products of the kernel's nine taps
  winograd,      ///< the better of the two below, by the cost model
  winograd_2x2,  ///< Winograd (arXiv:1509.09308), output tiles of 2x2: 2.25 times fewer products
  winograd_4x4,  ///< output tiles of 4x4: 4 times fewer products, 4 times larger weights
};

/// Returns the name: "auto", "direct", "winograd", "winograd_2x2" or "winograd_4x4".
BIT_FUNC std::string_view name_of(algorithm a);

/// Returns the algorithm of that name. Throws config_error that lists the names for any other.
BIT_FUNC algorithm algorithm_of(std::string_view name);

/// These are the choices of a frozen model. The algorithm changes the last digits of results; the number of threads
/// never does.
struct freeze_options {
  /// It decides how 3x3 convolutions of stride 1 are computed. Backends with one algorithm only compute in their own
  /// way.
  bit::algorithm algorithm = bit::algorithm::automatic;
  /// If it is set, nothing is read from the tensors after the model has been frozen. Otherwise the first call of an
  /// image size may read 3x3 kernels again, and a checkpoint file must stay as it is while the model lives. The values
  /// kept for it take 4 bytes each: 33 MB of R50x1, beside 94 MB of packed weights. Results are the same to the bit.
  bool keep_values = false;
  /// The accelerator of this number holds the model. A backend in the machine's own memory has only 0.
  int device = 0;
};

}  // namespace bit::inline BIT_ABI

#if BIT_HEADER_ONLY
#include <bit/backend/freeze_options.ipp>
#endif
