// SPDX-License-Identifier: Apache-2.0
// What a file is, from its first bytes: the formats we read, and plain words for what people save under their names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::detail {

enum class file_kind { zip, safetensors, other };

/// Kind of a file of `size` bytes with name `name` that starts with `start` (up to 512 bytes). A file named
/// *.safetensors counts as one unless it is evidently something else, so that its reader can say what is wrong.
BIT_FUNC file_kind kind_of(std::span<const std::byte> start, std::uint64_t size, const std::string& name);

/// A sentence on what a file of kind `other` seems to be and what to do, e.g. that it is a saved web page.
BIT_FUNC std::string describe_other(std::span<const std::byte> start, std::uint64_t size);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/io/sniff.ipp>
#endif
