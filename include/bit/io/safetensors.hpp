// SPDX-License-Identifier: Apache-2.0
// safetensors: a JSON header and contiguous little-endian tensors. The format's checks follow its reference
// implementation (safetensors/src/tensor.rs): header cap, no duplicate keys, no hole, no overlap, exact end.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/io/file.hpp>
#include <bit/io/raw_tensor.hpp>

namespace bit::inline BIT_ABI::detail {

/// What a file's header says; tensors' data has not been read.
struct safetensors_content {
  std::vector<io::raw_tensor> tensors;  ///< in the order of their data
  std::map<std::string, std::string> metadata;
};

/// The longest header that is read, in bytes.
inline constexpr std::uint64_t max_safetensors_header = 100'000'000;

/// Throws format_error, or io_error.
BIT_FUNC safetensors_content read_safetensors(const std::shared_ptr<const input_file>& file);

/// The header of float32 tensors laid out one after the other, its length included, padded to a multiple of 8 bytes.
/// Throws config_error if metadata is not UTF-8 or the header would be longer than the format allows.
BIT_FUNC std::string make_safetensors_header(
    const std::vector<std::pair<std::string, std::vector<std::size_t>>>& tensors,
    const std::map<std::string, std::string>& metadata);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/io/safetensors.ipp>
#endif
