// SPDX-License-Identifier: Apache-2.0
// Bodies of detail/aligned_buffer.hpp.
#pragma once

#include <bit/detail/aligned_buffer.hpp>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace bit::inline BIT_ABI::detail {

inline constexpr std::size_t huge_page = std::size_t{2} << 20;
inline constexpr std::align_val_t cache_line{64};

#if defined(__linux__)
/// Whole pages, which are 64 KiB on some machines. Not whole huge pages: the last one would be half empty.
constexpr std::size_t mapped_bytes(std::size_t bytes) {
  constexpr std::size_t page = std::size_t{64} << 10;
  return (bytes + page - 1) / page * page;
}

/// Straight from the system: from the heap, which keeps what is freed, the buffers of a trainer's start left holes of 25
/// to 40 MB.
inline void* map_pages(std::size_t bytes) {
  const std::size_t size = mapped_bytes(bytes);
  void* all = ::mmap(nullptr, size + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  auto* const first = static_cast<std::byte*>(all);
  const std::size_t skipped = (huge_page - reinterpret_cast<std::uintptr_t>(first) % huge_page) % huge_page;
  if (skipped > 0) ::munmap(first, skipped);
  ::munmap(first + skipped + size, huge_page - skipped);
  // Only advice: without huge pages everything works, slower.
  static_cast<void>(::madvise(first + skipped, size, MADV_HUGEPAGE));
  return first + skipped;
}

BIT_FUNC void* allocate_pages(std::size_t bytes) {
  return bytes < huge_page ? ::operator new(bytes, cache_line) : map_pages(bytes);
}

BIT_FUNC void* allocate_zeros(std::size_t bytes) {
  return bytes < huge_page ? std::memset(allocate_pages(bytes), 0, bytes) : map_pages(bytes);
}

BIT_FUNC void free_pages(void* memory, std::size_t bytes) noexcept {
  if (bytes < huge_page)
    ::operator delete(memory, cache_line);
  else
    ::munmap(memory, mapped_bytes(bytes));
}
#else
BIT_FUNC void* allocate_pages(std::size_t bytes) { return ::operator new(bytes, cache_line); }

BIT_FUNC void* allocate_zeros(std::size_t bytes) { return std::memset(allocate_pages(bytes), 0, bytes); }

BIT_FUNC void free_pages(void* memory, std::size_t /*bytes*/) noexcept { ::operator delete(memory, cache_line); }
#endif

}  // namespace bit::inline BIT_ABI::detail
