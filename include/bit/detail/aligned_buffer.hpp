// Uninitialised memory on 64-byte boundaries (a cache line, an AVX-512 vector).
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace bit::inline v0::detail {

/// Owns `size()` elements of a trivial type, not initialised.
template <class T>
class aligned_buffer {
 public:
  static constexpr std::align_val_t alignment{64};

  aligned_buffer() = default;
  explicit aligned_buffer(std::size_t size)
      : data_(static_cast<T*>(::operator new(size * sizeof(T), alignment))), size_(size) {}

  T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct release {
    void operator()(T* p) const { ::operator delete(p, alignment); }
  };
  std::unique_ptr<T, release> data_;
  std::size_t size_ = 0;
};

}  // namespace bit::inline v0::detail
