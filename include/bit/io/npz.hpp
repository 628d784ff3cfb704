// SPDX-License-Identifier: Apache-2.0
// npz: a zip archive of npy arrays, as NumPy's savez and savez_compressed write it and the BiT release uses it.
#pragma once

#include <memory>
#include <vector>

#include <bit/config.hpp>
#include <bit/io/file.hpp>
#include <bit/io/raw_tensor.hpp>

namespace bit::inline BIT_ABI::detail {

/// The arrays of an archive, headers read, data not. Names are the members' names without ".npy".
/// Throws format_error, or io_error.
BIT_FUNC std::vector<io::raw_tensor> read_npz(const std::shared_ptr<const input_file>& file);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/io/npz.ipp>
#endif
