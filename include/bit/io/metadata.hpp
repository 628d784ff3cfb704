// SPDX-License-Identifier: Apache-2.0
// What a fine-tuned checkpoint says about its use, beside its weights: its classes, and how large its images are.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/io/checkpoint.hpp>

namespace bit::inline BIT_ABI::io {

struct checkpoint_metadata {
  std::vector<std::string> labels;        ///< by class; empty if the file names none
  std::optional<std::size_t> input_size;  ///< images are squashed to this side, as the network was trained
};

/// Reads the metadata `bit.labels` and `bit.input_size`, which train::fine_tune() and pybit's save() write. Throws
/// format_error if they are malformed, or for another number of labels than classes.
BIT_FUNC checkpoint_metadata read_metadata(const checkpoint& from);

}  // namespace bit::inline BIT_ABI::io

#if BIT_HEADER_ONLY
#include <bit/io/metadata.ipp>
#endif
