// SPDX-License-Identifier: Apache-2.0
// CRC-32 as zip files record it: polynomial 0x04C11DB7, bits reflected, start and end inverted (ISO 3309, zlib's crc32).
// Own code because checking was a third of the time that loading takes (zlib 1.2.13: 6.8 GB/s, this 15.8, Zen 5), and
// so that files without deflated data need no zlib.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bit::inline BIT_ABI::detail {

/// CRC-32 of `bytes`, going on from the CRC-32 of what stands before them. By carry-less products (x86-64) or CRC
/// instructions (aarch64) where the CPU has them. Thread-safe.
BIT_FUNC std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before = 0);

/// CRC-32 of a text of two parts: `before` of the first, `after` of the second, which has `count` bytes.
BIT_FUNC std::uint32_t crc32_join(std::uint32_t before, std::uint32_t after, std::uint64_t count);

/// What any CPU can do (2 GB/s): the register, not inverted, after `count` more bytes.
BIT_FUNC std::uint32_t crc32_by_tables(std::uint32_t crc, const std::byte* x, std::size_t count);

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/detail/crc32.ipp>
#endif
