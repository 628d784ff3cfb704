// Bodies of detail/aligned_buffer.hpp.
#pragma once

#include <bit/detail/aligned_buffer.hpp>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace bit::inline v0::detail {

inline constexpr std::size_t huge_page = std::size_t{2} << 20;

/// The same answer for the same size, so that memory is freed as it was allocated.
constexpr std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes < huge_page ? 64 : huge_page};
}

BIT_FUNC void* allocate_pages(std::size_t bytes) {
  void* memory = ::operator new(bytes, alignment_of(bytes));
#if defined(__linux__)
  // Only advice: without huge pages everything works, slower.
  if (bytes >= huge_page) static_cast<void>(::madvise(memory, bytes, MADV_HUGEPAGE));
#endif
  return memory;
}

BIT_FUNC void free_pages(void* memory, std::size_t bytes) noexcept { ::operator delete(memory, alignment_of(bytes)); }

}  // namespace bit::inline v0::detail
