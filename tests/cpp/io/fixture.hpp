// SPDX-License-Identifier: Apache-2.0
// What the tests of io/ share: a folder that goes away, a tiny network, hand-made zip archives, error texts.
#pragma once

#include <bit/detail/crc32.hpp>
#include <bit/error.hpp>
#include <bit/io.hpp>
#include <bit/io/convert.hpp>
#include <bit/io/npy.hpp>
#include <bit/io/zip.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "../scratch.hpp"

namespace fixture {

using folder = scratch_folder;
using ::load;
using ::save;

/// The smallest network that 32 groups allow: two million parameters.
inline bit::resnet_config small_config() { return {.units = {1, 1, 1, 1}, .stem_channels = 32, .num_classes = 3}; }

/// A network of about two thousand parameters, which needs one group and therefore metadata.
inline bit::resnet_config tiny_config() {
  return {.units = {1, 2, 1, 1}, .stem_channels = 1, .in_channels = 1, .num_classes = 3, .groups = 1};
}

/// Parameters with distinct random values from `seed`.
inline std::vector<bit::named_tensor> make_tensors(const bit::resnet_config& config, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::vector<bit::named_tensor> tensors;
  for (const auto& spec : bit::tensor_specs(config)) {
    std::size_t size = 1;
    for (std::size_t d : spec.shape) size *= d;
    std::vector<float> values(size);
    for (float& v : values) v = static_cast<float>(random()) * 0x1p-32f - 0.5f;
    tensors.push_back({spec.name, spec.shape, bit::io::in_memory(std::move(values))});
  }
  return tensors;
}

inline std::vector<float> values_of(const bit::named_tensor& tensor) {
  std::size_t size = 1;
  for (std::size_t d : tensor.shape) size *= d;
  std::vector<float> values(size);
  tensor.data->read(std::span<float>(values));
  return values;
}

/// Do both hold the same names, shapes and bits, in the same order?
inline bool same_tensors(const std::vector<bit::named_tensor>& a, const std::vector<bit::named_tensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].name != b[i].name || a[i].shape != b[i].shape || values_of(a[i]) != values_of(b[i])) return false;
  return true;
}

/// The text of the format_error that `action` throws; "" if it throws nothing. Other exceptions pass.
template <class Action>
std::string format_message_of(Action&& action) {
  return message_of<bit::format_error>(action);
}

/// Overwrites a little-endian number inside `bytes`.
template <class T>
void put(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

struct member {
  std::string name, data;
  bool deflated = false;
  std::string packed = {};  ///< the deflated data, if `deflated`
};

/// An archive as bytes, with the places of its records.
struct archive {
  std::string bytes;
  std::vector<std::size_t> local, data, central;
  std::size_t directory = 0, end = 0;
};

/// Writes a plain zip (no ZIP64) of the members.
inline archive make_zip(const std::vector<member>& members) {
  archive zip;
  const auto number = [&](auto value) { zip.bytes.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto u16 = [&](std::size_t v) { number(static_cast<std::uint16_t>(v)); };
  const auto u32 = [&](std::size_t v) { number(static_cast<std::uint32_t>(v)); };
  const auto common = [&](const member& m) {
    const std::string& stored = m.deflated ? m.packed : m.data;
    u16(0), u16(m.deflated ? 8 : 0), u16(0), u16(33);
    u32(bit::detail::crc32_of(std::as_bytes(std::span(m.data)))), u32(stored.size()), u32(m.data.size());
    u16(m.name.size()), u16(0);
  };
  for (const member& m : members) {
    zip.local.push_back(zip.bytes.size());
    u32(0x04034b50), u16(20), common(m);
    zip.bytes += m.name;
    zip.data.push_back(zip.bytes.size());
    zip.bytes += m.deflated ? m.packed : m.data;
  }
  zip.directory = zip.bytes.size();
  for (std::size_t i = 0; i < members.size(); ++i) {
    zip.central.push_back(zip.bytes.size());
    u32(0x02014b50), u16(20), u16(20), common(members[i]), u16(0), u16(0), u16(0), u32(0), u32(zip.local[i]);
    zip.bytes += members[i].name;
  }
  zip.end = zip.bytes.size();
  u32(0x06054b50), u16(0), u16(0), u16(members.size()), u16(members.size()), u32(zip.end - zip.directory);
  u32(zip.directory), u16(0);
  return zip;
}

/// A whole npy file of float32 values.
inline std::string make_npy(const std::vector<std::size_t>& shape, const std::vector<float>& values) {
  return bit::detail::make_npy_header(shape) +
         std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

}  // namespace fixture
