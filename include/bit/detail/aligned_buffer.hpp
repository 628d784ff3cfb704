// SPDX-License-Identifier: Apache-2.0
// Uninitialised memory on 64-byte boundaries (a cache line, an AVX-512 vector); large buffers in huge pages.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace bit::inline BIT_ABI::detail {

/// Memory of `bytes` bytes; throws std::bad_alloc. From 2 MiB on it is aligned to, and asks the system for, huge pages:
/// a batch of 8 images walks through 50 MB in strides of a feature map, which 4 KiB pages make a miss in the address
/// cache per row, and filling 94 MB of packed weights takes 46 page faults instead of 23,000.
BIT_FUNC void* allocate_pages(std::size_t bytes);
/// The same, all zeros. Large memory is zero as it comes from the system, and takes none until it is touched.
BIT_FUNC void* allocate_zeros(std::size_t bytes);
/// Gives back what either of them gave for `bytes`.
BIT_FUNC void free_pages(void* memory, std::size_t bytes) noexcept;

/// Owns `size()` elements of a trivial type.
template <class T>
class aligned_buffer {
 public:
  aligned_buffer() = default;
  /// Elements that are not initialised.
  explicit aligned_buffer(std::size_t size) : aligned_buffer(allocate_pages(size * sizeof(T)), size) {}
  /// Elements whose bytes are zero, see allocate_zeros.
  static aligned_buffer zeros(std::size_t size) { return aligned_buffer(allocate_zeros(size * sizeof(T)), size); }

  T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct release {
    std::size_t bytes = 0;
    void operator()(T* p) const { free_pages(p, bytes); }
  };
  aligned_buffer(void* memory, std::size_t size)
      : data_(static_cast<T*>(memory), release{size * sizeof(T)}), size_(size) {}

  std::unique_ptr<T, release> data_;
  std::size_t size_ = 0;
};

}  // namespace bit::inline BIT_ABI::detail

#if BIT_HEADER_ONLY
#include <bit/detail/aligned_buffer.ipp>
#endif
