// SPDX-License-Identifier: Apache-2.0
// The header of one array in NumPy's npy format, versions 1 to 3 (numpy/lib/format.py): parsed as a literal, never run.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <bit/config.hpp>
#include <bit/io/raw_tensor.hpp>

namespace bit::inline BIT_ABI::detail {

/// What the header says.
struct npy_header {
  io::dtype type = io::dtype::float32;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::size_t> shape;
  std::size_t data_offset = 0;  ///< bytes before the first element
};

/// The most bytes that a header may take: NumPy's own limit of 10,000 plus magic, version and length.
inline constexpr std::size_t max_npy_header = 10'000 + 12;

/// Reads the header at the start of `bytes`, which holds the whole file or at least its first max_npy_header bytes.
/// `where` names the file and member in messages. Throws format_error.
BIT_FUNC npy_header parse_npy_header(std::span<const std::byte> bytes, const std::string& where);

/// Header of a little-endian float32 array, padded so that the data starts at a multiple of 64 bytes, as NumPy writes
/// it.
BIT_FUNC std::string make_npy_header(const std::vector<std::size_t>& shape);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/io/npy.ipp>
#endif
