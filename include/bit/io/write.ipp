// SPDX-License-Identifier: Apache-2.0
// Bodies of io/write.hpp.
#pragma once

#include <cstdint>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include <bit/detail/crc32.hpp>
#include <bit/error.hpp>
#include <bit/io/convert.hpp>
#include <bit/io/file.hpp>
#include <bit/io/npy.hpp>
#include <bit/io/safetensors.hpp>
#include <bit/io/write.hpp>
#include <bit/io/zip.hpp>

namespace bit::inline BIT_ABI::detail {

/// Values of a parameter in the layout of `names`; `keep` holds them if they are not in place already.
inline std::span<const std::byte> values_in(const named_tensor& tensor, io::naming names, std::vector<float>& keep) {
  const auto order = io::axes_in(names, tensor.name, tensor.shape.size());
  const axis_walk walk = walk_of(tensor.shape, order, false);
  const std::size_t size = walk.shape[0] * walk.shape[1] * walk.shape[2] * walk.shape[3];
  if (is_contiguous(walk)) {
    if (const auto in_place = tensor.data->bytes(); !in_place.empty()) return in_place;
    keep.resize(size);
    tensor.data->read(std::span<float>(keep));
    return std::as_bytes(std::span(keep));
  }
  std::vector<float> official(size);
  tensor.data->read(std::span<float>(official));
  keep.resize(size);
  gather(walk, official.data(), 0, walk.shape[0], keep.data());
  return std::as_bytes(std::span(keep));
}

/// Names and shapes in the file; throws config_error for a name that occurs twice or is unknown.
inline std::vector<std::pair<std::string, std::vector<std::size_t>>> stored_forms(std::span<const named_tensor> tensors,
                                                                                  io::naming names) {
  std::vector<std::pair<std::string, std::vector<std::size_t>>> forms;
  std::set<std::string> seen;
  for (const named_tensor& tensor : tensors) {
    forms.emplace_back(io::name_in(names, tensor.name), io::shape_in(names, tensor.name, tensor.shape));
    if (!seen.insert(forms.back().first).second)
      throw config_error("[write] the tensor " + tensor.name + " is given twice");
  }
  return forms;
}

/// A zip record under construction.
class zip_record {
 public:
  template <class T>
  zip_record& put(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    text_.append(bytes, sizeof bytes);
    return *this;
  }
  zip_record& put(const std::string& text) {
    text_ += text;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

struct written_member {
  std::string name;
  std::uint32_t crc;
  std::uint64_t size, offset;
};

// Records of APPNOTE.TXT 4.3 and 4.5.3. Every member carries ZIP64 sizes in its local header, as NumPy writes them, so
// that the header's length does not depend on what follows. Time stamps are fixed (1980-01-01): equal tensors, equal
// file.
inline constexpr std::uint16_t zip64_version = 45, zip_no_time = 0, zip_first_day = 33;
inline constexpr std::uint32_t zip_saturated = 0xffffffff;

inline std::string zip_local_header(const written_member& m) {
  return zip_record()
      .put(std::uint32_t{0x04034b50})
      .put(zip64_version)
      .put(std::uint16_t{0})
      .put(std::uint16_t{0})
      .put(zip_no_time)
      .put(zip_first_day)
      .put(m.crc)
      .put(zip_saturated)
      .put(zip_saturated)
      .put(static_cast<std::uint16_t>(m.name.size()))
      .put(std::uint16_t{20})
      .put(m.name)
      .put(std::uint16_t{1})
      .put(std::uint16_t{16})
      .put(m.size)
      .put(m.size)
      .text();
}

inline std::string zip_central_header(const written_member& m) {
  const bool wide_size = m.size >= zip_saturated, wide_offset = m.offset >= zip_saturated;
  zip_record extra;
  if (wide_size) extra.put(m.size).put(m.size);
  if (wide_offset) extra.put(m.offset);
  const auto extra_size = static_cast<std::uint16_t>(extra.text().size());
  const auto narrow = [](std::uint64_t v, bool wide) { return wide ? zip_saturated : static_cast<std::uint32_t>(v); };
  zip_record record;
  record.put(std::uint32_t{0x02014b50})
      .put(zip64_version)
      .put(zip64_version)
      .put(std::uint16_t{0})
      .put(std::uint16_t{0})
      .put(zip_no_time)
      .put(zip_first_day)
      .put(m.crc)
      .put(narrow(m.size, wide_size))
      .put(narrow(m.size, wide_size))
      .put(static_cast<std::uint16_t>(m.name.size()))
      .put(static_cast<std::uint16_t>(extra_size ? extra_size + 4 : 0))
      .put(std::uint16_t{0})
      .put(std::uint16_t{0})
      .put(std::uint16_t{0})
      .put(std::uint32_t{0})
      .put(narrow(m.offset, wide_offset))
      .put(m.name);
  if (extra_size) record.put(std::uint16_t{1}).put(extra_size).put(extra.text());
  return record.text();
}

inline std::string zip_end(std::uint64_t count, std::uint64_t size, std::uint64_t offset) {
  zip_record record;
  const bool wide = count >= 0xffff || size >= zip_saturated || offset >= zip_saturated;
  if (wide)
    record.put(std::uint32_t{0x06064b50})
        .put(std::uint64_t{44})
        .put(zip64_version)
        .put(zip64_version)
        .put(std::uint32_t{0})
        .put(std::uint32_t{0})
        .put(count)
        .put(count)
        .put(size)
        .put(offset)
        .put(std::uint32_t{0x07064b50})
        .put(std::uint32_t{0})
        .put(offset + size)
        .put(std::uint32_t{1});
  const auto narrow16 = static_cast<std::uint16_t>(wide ? 0xffff : count);
  return record.put(std::uint32_t{0x06054b50})
      .put(std::uint16_t{0})
      .put(std::uint16_t{0})
      .put(narrow16)
      .put(narrow16)
      .put(wide ? zip_saturated : static_cast<std::uint32_t>(size))
      .put(wide ? zip_saturated : static_cast<std::uint32_t>(offset))
      .put(std::uint16_t{0})
      .text();
}

}  // namespace bit::inline BIT_ABI::detail

namespace bit::inline BIT_ABI::io {

BIT_FUNC void write_npz(const std::filesystem::path& path, std::span<const named_tensor> tensors, naming names) {
  const auto forms = detail::stored_forms(tensors, names);
  detail::output_file file(path);
  std::vector<detail::written_member> members;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::vector<float> keep;
    const auto values = detail::values_in(tensors[i], names, keep);
    const std::string header = detail::make_npy_header(forms[i].second);
    const std::uint32_t crc = detail::crc32_of(values, detail::crc32_of(std::as_bytes(std::span(header))));
    members.push_back({forms[i].first + ".npy", crc, header.size() + values.size(), file.position()});
    file.append(detail::zip_local_header(members.back()));
    file.append(header);
    file.append(values);
    tensors[i].data->release();
  }
  const std::uint64_t offset = file.position();
  for (const auto& member : members) file.append(detail::zip_central_header(member));
  file.append(detail::zip_end(members.size(), file.position() - offset, offset));
  file.commit();
}

BIT_FUNC void write_safetensors(const std::filesystem::path& path, std::span<const named_tensor> tensors, naming names,
                                const std::map<std::string, std::string>& metadata) {
  const std::string header = detail::make_safetensors_header(detail::stored_forms(tensors, names), metadata);
  detail::output_file file(path);
  file.append(header);
  for (const named_tensor& tensor : tensors) {
    std::vector<float> keep;
    file.append(detail::values_in(tensor, names, keep));
    tensor.data->release();
  }
  file.commit();
}

}  // namespace bit::inline BIT_ABI::io
