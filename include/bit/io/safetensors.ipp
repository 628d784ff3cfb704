// SPDX-License-Identifier: Apache-2.0
// Bodies of io/safetensors.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include <bit/detail/json.hpp>
#include <bit/error.hpp>
#include <bit/io/safetensors.hpp>

namespace bit::inline BIT_ABI::detail {

/// Tensor bytes in a safetensors file, which has no checksums.
class safetensors_data final : public io::raw_data {
 public:
  safetensors_data(std::shared_ptr<const input_file> file, std::uint64_t offset, std::uint64_t size)
      : file_(std::move(file)), offset_(offset), size_(size) {}
  void read(std::span<std::byte> out) const override { file_->read(offset_, out); }
  std::span<const std::byte> bytes() const override { return file_->view(offset_, size_); }
  bool is_snapshot() const override { return true; }
  void release() const noexcept override { file_->release(offset_, size_); }
  bool has_parts() const override { return true; }
  std::uint32_t read_part(std::size_t first, std::span<std::byte> out) const override {
    file_->read(offset_ + first, out);
    return 0;
  }

 private:
  std::shared_ptr<const input_file> file_;
  std::uint64_t offset_, size_;
};

/// One tensor as the JSON header describes it.
struct safetensors_item {
  std::string name, dtype;
  std::vector<std::uint64_t> shape, offsets;
};

struct safetensors_header {
  std::vector<safetensors_item> items;
  std::map<std::string, std::string> metadata;
};

inline std::vector<std::uint64_t> read_numbers(json_reader& in) {
  std::vector<std::uint64_t> numbers;
  in.array([&] {
    if (numbers.size() == 64) in.fail("expected a list of at most 64 numbers");
    numbers.push_back(in.number());
  });
  return numbers;
}

/// {"dtype": string, "shape": [n...], "data_offsets": [begin, end]}, in any order.
inline safetensors_item read_item(json_reader& in, std::string name) {
  safetensors_item item{std::move(name), {}, {}, {}};
  bool has_dtype = false, has_shape = false, has_offsets = false;
  in.object([&](const std::string& key) {
    bool* const seen = key == "dtype"          ? &has_dtype
                       : key == "shape"        ? &has_shape
                       : key == "data_offsets" ? &has_offsets
                                               : nullptr;
    if (!seen || *seen) in.fail(item.name + ": expected dtype, shape and data_offsets once each, got " + key);
    *seen = true;
    if (seen == &has_dtype) {
      item.dtype = in.string();
    } else {
      (seen == &has_shape ? item.shape : item.offsets) = read_numbers(in);
    }
  });
  if (!has_dtype || !has_shape || !has_offsets) in.fail(item.name + ": expected dtype, shape and data_offsets");
  return item;
}

/// {"__metadata__": {string: string}, name: item, ...}; nothing else is accepted, and no key twice.
inline safetensors_header parse_safetensors_header(std::string_view text) {
  safetensors_header header;
  std::set<std::string> names;
  json_reader in(text);
  in.object([&](std::string name) {
    if (!names.insert(name).second) in.fail("the name " + name + " occurs twice");
    if (name != "__metadata__") {
      header.items.push_back(read_item(in, std::move(name)));
      return;
    }
    in.object([&](const std::string& key) {
      if (header.metadata.contains(key)) in.fail("the metadata key " + key + " occurs twice");
      header.metadata[key] = in.string();
    });
  });
  in.end();
  return header;
}

inline io::dtype safetensors_dtype(const std::string& code, const std::string& where) {
  using enum io::dtype;
  constexpr std::pair<std::string_view, io::dtype> known[] = {
      {"F32", float32}, {"F16", float16}, {"BF16", bfloat16}, {"F64", float64},    {"BOOL", boolean},
      {"I8", int8},     {"U8", uint8},    {"I16", int16},     {"U16", uint16},     {"I32", int32},
      {"U32", uint32},  {"I64", int64},   {"U64", uint64},    {"F8_E4M3", float8}, {"F8_E5M2", float8}};
  for (const auto& [name, type] : known)
    if (name == code) return type;
  throw format_error("[safetensors] " + where + ": unknown dtype \"" + code + "\"; expected F32, F16, BF16 or F64");
}

/// Lengths, places and dtypes of all tensors against each other and the file.
inline std::vector<io::raw_tensor> place_safetensors(const std::shared_ptr<const input_file>& file,
                                                     std::vector<safetensors_item> items, std::uint64_t start) {
  for (const auto& item : items) {
    if (item.name.empty() ||
        !std::all_of(item.name.begin(), item.name.end(), [](char c) { return c > ' ' && c <= '~'; }))
      throw format_error("[safetensors] " + file->name() + ": expected tensor names of plain ASCII characters, got \"" +
                         item.name + '"');
    if (item.offsets.size() != 2 || item.offsets[0] > item.offsets[1])
      throw format_error("[safetensors] " + file->name() + ": " + item.name +
                         ": expected data_offsets [begin, end] with begin <= end");
  }
  std::vector<safetensors_item*> by_offset;
  for (auto& item : items) by_offset.push_back(&item);
  std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) { return a->offsets < b->offsets; });
  std::vector<io::raw_tensor> tensors;
  std::uint64_t expected = 0;
  for (safetensors_item* next : by_offset) {
    auto& item = *next;
    const std::string where = file->name() + ": " + item.name;
    const auto [begin, end] = std::array{item.offsets[0], item.offsets[1]};
    if (begin != expected)
      throw format_error("[safetensors] " + where + ": expected its data at offset " + std::to_string(expected) +
                         ", where the one before it ends, got " + std::to_string(begin));
    io::raw_tensor tensor;
    tensor.type = safetensors_dtype(item.dtype, where);
    tensor.shape.assign(item.shape.begin(), item.shape.end());
    const auto bytes = io::byte_count(tensor.shape, tensor.type);
    if (!bytes || *bytes != end - begin)
      throw format_error("[safetensors] " + where + ": shape " + io::to_string(tensor.shape) + " of " +
                         io::to_string(tensor.type) + " needs " + (bytes ? std::to_string(*bytes) : "over 2^64") +
                         " bytes, its data_offsets give " + std::to_string(end - begin));
    if (end > file->size() - start)
      throw format_error("[safetensors] " + where + ": its data ends at byte " + std::to_string(end) + " of " +
                         std::to_string(file->size() - start) + "; the file is truncated, fetch it again");
    tensor.name = std::move(item.name);
    tensor.data = std::make_shared<safetensors_data>(file, start + begin, end - begin);
    tensors.push_back(std::move(tensor));
    expected = end;
  }
  if (expected != file->size() - start)
    throw format_error("[safetensors] " + file->name() + ": expected the file to end with its last tensor, " +
                       std::to_string(file->size() - start - expected) + " bytes follow");
  return tensors;
}

BIT_FUNC safetensors_content read_safetensors(const std::shared_ptr<const input_file>& file) {
  const auto fail = [&](const std::string& what) { throw format_error("[safetensors] " + file->name() + ": " + what); };
  if (file->size() < 10) fail("expected at least 10 bytes, got " + std::to_string(file->size()));
  std::array<std::byte, 8> prefix;
  file->read(0, prefix);
  std::uint64_t length;
  std::memcpy(&length, prefix.data(), sizeof length);
  if (length > max_safetensors_header)
    fail("expected a header of at most " + std::to_string(max_safetensors_header) + " bytes, got " +
         std::to_string(length));
  if (length > file->size() - 8)
    fail("its header of " + std::to_string(length) + " bytes is longer than the file; fetch it again");
  std::string header(static_cast<std::size_t>(length), '\0');
  file->read(8, std::as_writable_bytes(std::span(header)));
  if (!header.starts_with('{')) fail("expected its header to start with {");
  try {
    auto [items, metadata] = parse_safetensors_header(header);
    return {place_safetensors(file, std::move(items), 8 + length), std::move(metadata)};
  } catch (const json_error& problem) {
    throw format_error("[safetensors] " + file->name() + ": its header, " + problem.what());
  }
}

BIT_FUNC std::string make_safetensors_header(
    const std::vector<std::pair<std::string, std::vector<std::size_t>>>& tensors,
    const std::map<std::string, std::string>& metadata) {
  std::string text(1, '{');
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) text += json_string(key) + ':' + json_string(value) + ',';
    text.back() = '}';
    text += ',';
  }
  std::uint64_t offset = 0;
  for (const auto& [name, shape] : tensors) {
    const std::uint64_t end = offset + *io::byte_count(shape, io::dtype::float32);
    text += json_string(name) + ":{\"dtype\":\"F32\",\"shape\":[";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
    text += "],\"data_offsets\":[" + std::to_string(offset) + ',' + std::to_string(end) + "]},";
    offset = end;
  }
  if (text.size() == 1) text += ',';
  text.back() = '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  try {
    parse_safetensors_header(text);  // what we would refuse to read is not written
  } catch (const json_error& problem) {
    throw config_error(std::string("[safetensors] expected metadata in UTF-8; the header, ") + problem.what());
  }
  if (text.size() > max_safetensors_header)
    throw config_error("[safetensors] the header with its metadata would take " + std::to_string(text.size()) +
                       " bytes; at most " + std::to_string(max_safetensors_header) + " are allowed");
  const std::uint64_t length = text.size();
  std::string result(sizeof length, '\0');
  std::memcpy(result.data(), &length, sizeof length);
  return result + text;
}

}  // namespace bit::inline BIT_ABI::detail
