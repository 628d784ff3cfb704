// SPDX-License-Identifier: Apache-2.0
// Members of tar archives, plain or gzipped, read from front to back without unpacking anything to disk.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::data::detail {

/// Calls visit(name, size) for each regular file of the archive (POSIX ustar); where it answers true, take(name, bytes)
/// gets its content. Throws io_error if the file cannot be read, format_error for anything damaged, truncated or larger
/// than 1 GiB, config_error if the archive is gzipped and this build has no zlib.
BIT_FUNC void read_tar(const std::filesystem::path& path,
                       const std::function<bool(const std::string& name, std::size_t size)>& visit,
                       const std::function<void(const std::string& name, std::vector<std::byte> bytes)>& take);

}  // namespace bit::inline BIT_ABI::data::detail

#if BIT_HEADER_ONLY
#include <bit/data/archive.ipp>
#endif
