// SPDX-License-Identifier: Apache-2.0
// What the file fuzzers share: bytes as a file in memory, opened in both modes and read to the last value.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <bit/error.hpp>
#include <bit/io.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace fuzz {

/// A file without a folder, with these bytes.
class memory_file {
 public:
  memory_file(const std::uint8_t* data, std::size_t size) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0 || ::write(descriptor_, data, size) != static_cast<ssize_t>(size)) std::abort();
  }
  ~memory_file() { ::close(descriptor_); }
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// Reads every tensor that `read_tensors(file)` finds. What a file holds may not depend on how it is read.
template <class ReadTensors>
void read_everything(const std::uint8_t* data, std::size_t size, ReadTensors&& read_tensors) {
  const memory_file memory(data, size);
  bool accepted[2] = {false, false};
  for (const auto mode : {bit::io::read_mode::map, bit::io::read_mode::copy}) {
    try {
      const auto file = std::make_shared<const bit::detail::input_file>(memory.path(), mode);
      for (const bit::io::raw_tensor& tensor : read_tensors(file)) {
        const std::size_t bytes = *bit::io::byte_count(tensor.shape, tensor.type);
        // An honest need: the file's own size, or what deflate can make of it.
        if (bytes / 1032 > size) std::abort();
        if (const auto in_place = tensor.data->bytes(); !in_place.empty() && in_place.size() != bytes) std::abort();
        std::vector<std::byte> copy(bytes);
        tensor.data->read(copy);
      }
      accepted[mode == bit::io::read_mode::copy] = true;
    } catch (const bit::format_error&) {
    }
  }
  if (accepted[0] != accepted[1]) std::abort();
  try {
    const auto checkpoint = bit::io::open_checkpoint(memory.path(), {.allow_extra_tensors = true});
    static_cast<void>(find_bad_values(checkpoint));
  } catch (const bit::format_error&) {
  }
}

}  // namespace fuzz
