// Uninitialised memory on 64-byte boundaries (a cache line, an AVX-512 vector); large buffers in huge pages.
#pragma once

#include <bit/config.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace bit::inline v0::detail {

/// Memory of `bytes` bytes; throws std::bad_alloc. From 2 MiB on it is aligned to, and asks the system for, huge pages:
/// a batch of 8 images walks through 50 MB in strides of a feature map, which 4 KiB pages make a miss in the address
/// cache per row, and filling 94 MB of packed weights takes 46 page faults instead of 23,000.
BIT_FUNC void* allocate_pages(std::size_t bytes);
/// Gives back what allocate_pages(bytes) gave.
BIT_FUNC void free_pages(void* memory, std::size_t bytes) noexcept;

/// Owns `size()` elements of a trivial type, not initialised.
template <class T>
class aligned_buffer {
 public:
  aligned_buffer() = default;
  explicit aligned_buffer(std::size_t size)
      : data_(static_cast<T*>(allocate_pages(size * sizeof(T))), release{size * sizeof(T)}), size_(size) {}

  T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct release {
    std::size_t bytes = 0;
    void operator()(T* p) const { free_pages(p, bytes); }
  };
  std::unique_ptr<T, release> data_;
  std::size_t size_ = 0;
};

}  // namespace bit::inline v0::detail

#if BIT_HEADER_ONLY
#include <bit/detail/aligned_buffer.ipp>
#endif
